# Where script/test-debian13 builds and tests the tree, which is mounted at /src. The first steps are those of
# deploy/Dockerfile, so that an engine which has built the one has them for the other.
FROM debian:trixie-slim
WORKDIR /src
COPY script/install-deps script/
RUN script/install-deps build && rm -rf /var/lib/apt/lists/*
RUN script/install-deps unit scenario && rm -rf /var/lib/apt/lists/*
