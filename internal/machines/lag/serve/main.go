// Command serve puts a round trip before machines of the test ground: 127.0.2.N stands for 127.0.1.N.
//
//	go run ./internal/machines/lag/serve -n 2 -rtt 50ms
//
// It works until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"fabgo/internal/machines/lag"
)

func main() {
	n := flag.Int("n", 1, "machines, numbered from 1")
	rtt := flag.Duration("rtt", 50*time.Millisecond, "round trip")
	port := flag.Int("port", 22, "port")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, os.Stderr, *n, *port, *rtt); err != nil {
		fmt.Fprintln(os.Stderr, "lag:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, log io.Writer, n, port int, rtt time.Duration) error {
	for i := 1; i <= n; i++ {
		target := fmt.Sprintf("127.0.1.%d:%d", i, port)
		p, err := lag.Listen(fmt.Sprintf("127.0.2.%d:%d", i, port), target, rtt)
		if err != nil {
			return err
		}
		defer p.Close()
		fmt.Fprintf(log, "%s is %s, %s away\n", p.Addr(), target, rtt)
	}
	<-ctx.Done()
	return nil
}
