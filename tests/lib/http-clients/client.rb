# Ruby's Net::HTTP, one connection for all.
require 'net/http'

url, channel = ARGV
address = URI(url)
puts "version Ruby #{RUBY_VERSION}"
Net::HTTP.start(address.host, address.port) do |http|
  puts "published #{http.post("/v1/publish?channel=#{channel}", '{"n":1}', 'Content-Type' => 'application/json').body}"
  puts "polled #{http.get("/v1/subscribe?channel=#{channel}&last=1&wait=0").body}"
  http.request_get("/v1/subscribe?channel=#{channel}&last=1", 'Accept' => 'application/x-ndjson') do |answer|
    text = +''
    answer.read_body do |piece|
      line = (text << piece)[/.*"data".*(?=\n)/] or next
      puts "streamed #{line}"
      $stdout.flush
      exit!(true)
    end
  end
end
