package harness

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// SideBySide is m.Run with n tests side by side, unless -parallel says another
// number: more than there are processors, where tests wait for timers nearly all
// the time.
func SideBySide(m *testing.M, n int) int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}
