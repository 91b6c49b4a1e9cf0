package ondemand

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// serve is a server in a process of its own, for TestDeathOfTheServer.
func serve() {
	v := View{Name: "v", Definition: []byte("d"), Outputs: []Output{{"y", int64s.Field(0).Type}}}
	bound, err := Bind(int64s, []View{v}, false)
	must(err)
	o := fakeOptions("good")
	o.Stderr = func(line string) { fmt.Println(line) }
	_, err = ask(context.Background(), New(o), bound, silence)
	fmt.Println("answered", err)
}

// TestDeathOfTheServer: a server that is killed takes its workers with it, though they are at work and do not read.
func TestDeathOfTheServer(t *testing.T) {
	server := exec.Command(os.Args[0], "server")
	printed, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(printed).ReadString('\n')
	var pid int64
	if n, _ := fmt.Sscanf(line, "silent %d", &pid); n != 1 {
		t.Errorf("the server printed %q, %v", line, err)
	}
	if err := server.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = server.Wait()
	eventually(t, "the worker is gone", func() bool { return hasEnded(pid) })
}

// TestNoZombies counts the children of this process.
func TestNoZombies(t *testing.T) {
	p, bound := New(fakeOptions("good")), bind(t, "y")
	for _, v := range []int64{1, -6, 1, -1, 1} {
		_, _ = ask(t.Context(), p, bound, v)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if children, _ := os.ReadFile("/proc/self/task/" + thread.Name() + "/children"); len(children) > 0 {
			t.Errorf("children %s", children)
		}
	}
}
