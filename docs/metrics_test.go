// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gateway-init/gateway-init/gatewayctl/metrics"
)

// metricTable returns the generated table of docs/status.md.
func metricTable() string {
	var b strings.Builder
	b.WriteString("| metric | labels | meaning |\n|---|---|---|\n")
	for _, f := range metrics.Known() {
		labels := ""
		if len(f.Labels) > 0 {
			labels = "`" + strings.Join(f.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, labels, f.Help)
	}
	return b.String()
}

// TestMetricTable checks that the page has the rows of the code. The name says the type.
func TestMetricTable(t *testing.T) {
	page := read(t, "docs/status.md")
	const header = "| metric | labels | meaning |\n"
	before, rest, ok := strings.Cut(page, header)
	table, after, ok2 := strings.Cut(header+rest, "\n\n")
	if !ok || !ok2 {
		t.Fatalf("docs/status.md has no table with %q", header)
	}
	have, want := table+"\n", metricTable()
	if have == want {
		return
	}
	if *update {
		if err := os.WriteFile("status.md", []byte(before+want+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of docs/status.md differs (go test ./docs -update writes it):\n%s", difference(have, want))
}

// TestNamedMetricsExist checks that each metric that a page names is there.
func TestNamedMetricsExist(t *testing.T) {
	known := map[string]bool{}
	for _, f := range metrics.Known() {
		known[f.Name] = true
	}
	seen := 0
	for _, page := range []string{"docs/metrics.md", "docs/status.md", "docs/operate.md", "man/gatewayctl.1.md", "CHANGELOG.md"} {
		for _, name := range regexp.MustCompile(`\bgateway_init_\w+`).FindAllString(read(t, page), -1) {
			if seen++; !known[name] {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
	if seen < 60 {
		t.Errorf("found %d names", seen)
	}
}

// TestMetricsScript runs the script of the page with a docker of its own: one that prints
// metrics and fails, as gatewayctl does while the gateway does not serve, and one without
// the container. The client library reads what the script prints.
func TestMetricsScript(t *testing.T) {
	_, script, _ := strings.Cut(read(t, "docs/metrics.md"), "<!-- gateway-metrics -->\n")
	script, _, _ = strings.Cut(script, "<!-- end of gateway-metrics -->")
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("gateway-metrics", strings.TrimSpace(strings.ReplaceAll(script, "\n    ", "\n"))+"\n")
	text := metrics.Text(metrics.WithLabel(metrics.Families(metrics.Look{}), "container", "C"), metrics.Prometheus)
	write("text", text)
	for docker, want := range map[string]string{
		`case $* in "exec C /usr/local/bin/gatewayctl metrics "*" --label container=C") cat "` + dir + `/text";; esac; exit 4`: text,
		`echo "no such container" >&2; exit 1`:       "# TYPE gateway_init_up gauge\ngateway_init_up{container=\"C\"} 0\n# EOF\n",
		`head -c 300 "` + dir + `/text"; kill -9 $$`: "# TYPE gateway_init_up gauge\ngateway_init_up{container=\"C\"} 0\n# EOF\n",
	} {
		write("docker", "#!/bin/sh\n"+docker+"\n")
		cmd := exec.Command("sh", dir+"/gateway-metrics", "C")
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := cmd.Output()
		if err != nil || string(out) != want {
			t.Errorf("%s: %v, printed\n%s", docker, err, out)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		if all, err := parser.TextToMetricFamilies(strings.NewReader(string(out))); err != nil || len(all) == 0 {
			t.Errorf("%s: %v", docker, err)
		}
	}
}
