// Go's net/http.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
)

func text(answer *http.Response, err error) string {
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	return string(body)
}

func main() {
	url, channel := os.Args[1], os.Args[2]
	subscribe := url + "/v1/subscribe?channel=" + channel + "&last=1"
	fmt.Println("version", runtime.Version())
	fmt.Println("published", text(http.Post(url+"/v1/publish?channel="+channel, "application/json", strings.NewReader(`{"n":1}`))))
	fmt.Println("polled", text(http.Get(subscribe+"&wait=0")))
	request, _ := http.NewRequest("GET", subscribe, nil)
	request.Header.Set("Accept", "application/x-ndjson")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"data"`) {
			fmt.Println("streamed", lines.Text())
			return
		}
	}
}
