// Java's own HttpClient as it is without settings: it offers Upgrade: h2c with each request.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class Client {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0], channel = arguments[1];
        HttpClient client = HttpClient.newHttpClient();
        System.out.println("version java " + System.getProperty("java.version"));
        HttpRequest publish = HttpRequest.newBuilder(URI.create(url + "/v1/publish?channel=" + channel))
                .POST(HttpRequest.BodyPublishers.ofString("{\"n\":1}")).build();
        System.out.println("published " + client.send(publish, BodyHandlers.ofString()).body());
        HttpRequest poll = HttpRequest.newBuilder(URI.create(url + "/v1/subscribe?channel=" + channel + "&last=1&wait=0")).build();
        System.out.println("polled " + client.send(poll, BodyHandlers.ofString()).body());
        HttpRequest stream = HttpRequest.newBuilder(URI.create(url + "/v1/subscribe?channel=" + channel + "&last=1"))
                .header("Accept", "application/x-ndjson").build();
        String line = client.send(stream, BodyHandlers.ofLines()).body().filter(text -> text.contains("\"data\"")).findFirst().get();
        System.out.println("streamed " + line);
        System.exit(0);
    }
}
