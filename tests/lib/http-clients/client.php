<?php
// PHP's own streams.
[, $url, $channel] = $argv;
$context = fn(array $http) => stream_context_create(['http' => $http + ['protocol_version' => '1.1', 'ignore_errors' => true]]);
$form = ['method' => 'POST', 'header' => "Content-Type: application/json\r\nConnection: close", 'content' => '{"n":1}'];
echo 'version PHP ', PHP_VERSION, "\n";
echo 'published ', file_get_contents("$url/v1/publish?channel=$channel", false, $context($form)), "\n";
echo 'polled ', file_get_contents("$url/v1/subscribe?channel=$channel&last=1&wait=0", false, $context(['header' => 'Connection: close'])), "\n";
// What comes by chunks, PHP hands over by 8 KiB; HTTP/1.0 has none.
$lines = $context(['header' => 'Accept: application/x-ndjson', 'protocol_version' => '1.0']);
$stream = fopen("$url/v1/subscribe?channel=$channel&last=1", 'r', false, $lines);
while (($line = fgets($stream)) !== false) {
    if (str_contains($line, '"data"')) {
        echo 'streamed ', $line;
        break;
    }
}
