// SPDX-License-Identifier: Apache-2.0

// Package docs holds these pages against the code they describe.
package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/verify"
	"github.com/gateway-init/gateway-init/init/plain"
	"github.com/gateway-init/gateway-init/internal/relaycount"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sources is the shipped code below the folders, without tests, by file.
func sources(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join("..", p, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", p, err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				out[f] = read(t, strings.TrimPrefix(f, "../"))
			}
		}
	}
	return out
}

// column is the words in backquotes of one column of a page's tables.
func column(page string, n int) (words []string) {
	for line := range strings.Lines(page) {
		if cells := strings.Split(strings.TrimSpace(line), "|"); strings.HasPrefix(line, "| `") && len(cells) > n {
			words = append(words, quoted(cells[n])...)
		}
	}
	return words
}

func quoted(text string) (words []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

// same compares what is documented with what there is, as sets.
func same(t *testing.T, page string, documented, known []string) {
	t.Helper()
	for _, k := range known {
		if !slices.Contains(documented, k) {
			t.Errorf("%s does not have %s", page, k)
		}
	}
	for _, d := range documented {
		if !slices.Contains(known, d) {
			t.Errorf("%s has %s, the code has not", page, d)
		}
	}
}

var (
	eventConst = regexp.MustCompile(`(?m)^\s+(ev\w+)\s+= "([^"]+)"`)
	eventCall  = regexp.MustCompile(`(?s)\.(Info|Warn|Error)\(\)\.Str\("event", ("?)([\w-]+)"?\)(.*?)\.\s*Msg\(`)
	eventField = regexp.MustCompile(`\b\w+\("(\w+)"`)
)

// TestCommandsKeepTheirState checks that no documented command has an anonymous volume,
// which is lost with the container, or installs another version the next time.
func TestCommandsKeepTheirState(t *testing.T) {
	anonymous := regexp.MustCompile("(?:-v|--volume)[ =]/[^: ]+(?:[ )`\n]|$)")
	install := regexp.MustCompile(`npm install [^\n]*@[^\n]*`)
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	all := map[string]string{"README.md": read(t, "README.md")}
	for _, page := range pages {
		all[page] = read(t, "docs/"+page)
	}
	const demo = "image/openclaw/demo.sh"
	for line := range strings.Lines(read(t, demo)) {
		if strings.HasPrefix(line, "echo ") || strings.HasPrefix(line, "flags") { // what it tells the reader to type
			all[demo] += line
		}
	}
	for page, text := range all {
		for _, m := range anonymous.FindAllString(text, -1) {
			t.Errorf("%s has an anonymous volume: %s", page, m)
		}
		for _, m := range install.FindAllString(text, -1) {
			if !strings.Contains(m, "--save-exact") {
				t.Errorf("%s does not save the exact version: %s", page, m)
			}
		}
	}
}

// A log line that nobody documented is one that nobody may rely on.
func TestLogEvents(t *testing.T) {
	names := map[string]string{}
	for _, file := range []string{"supervisor/log.go", "init/boot/log.go"} {
		for _, m := range eventConst.FindAllStringSubmatch(read(t, file), -1) {
			names[m[1]] = m[2]
		}
	}
	fields := map[string][]string{"log-dropped": {"lines"}} // internal/logring writes that one by hand
	for _, text := range sources(t, "init/*", "supervisor", "supervisor/*", "internal/*") {
		for _, m := range eventCall.FindAllStringSubmatch(text, -1) {
			name := m[3]
			if m[2] == "" {
				name = names[name]
			}
			used := fields[name]
			for _, f := range eventField.FindAllStringSubmatch(m[4], -1) {
				used = append(used, f[1])
			}
			if strings.Contains(m[4], "Err(") {
				used = append(used, "error")
			}
			fields[name] = used
		}
	}
	for word, name := range names {
		if _, ok := fields[name]; !ok {
			t.Errorf("nothing logs %s (%s)", name, word)
		}
	}
	var documented, known []string
	for line := range strings.Lines(read(t, "docs/logging.md")) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") && len(cells) > 4 {
			name := quoted(cells[1])[0]
			documented = append(documented, name)
			same(t, "docs/logging.md, "+name, quoted(cells[3]), fields[name])
		}
	}
	for name := range fields {
		known = append(known, name)
	}
	same(t, "docs/logging.md", documented, known)
}

// TestRelayLines checks that the page has each line of the relay, each of its fields, and
// each reason of a refusal.
func TestRelayLines(t *testing.T) {
	code := ""
	for _, text := range sources(t, "relay") {
		code += text
	}
	var events, fields, documented, used []string
	for _, m := range eventConst.FindAllStringSubmatch(code, -1) {
		events = append(events, m[2])
	}
	for _, m := range regexp.MustCompile(`\{"([a-z_]+)", [^"]`).FindAllStringSubmatch(code, -1) {
		if !slices.Contains([]string{"time", "level", "origin", "event"}, m[1]) { // of every line
			fields = append(fields, m[1])
		}
	}
	_, page, _ := strings.Cut(read(t, "docs/logging.md"), "## The relay\n")
	page, reasons, _ := strings.Cut(page, "### Reasons of the relay\n")
	for _, m := range regexp.MustCompile("(?m)^- `([a-z-]+)` \\([a-z]+(?:; ([^)]*))?\\): ").FindAllStringSubmatch(page, -1) {
		documented = append(documented, m[1])
		used = append(used, quoted(m[2])...)
	}
	same(t, "docs/logging.md, The relay", documented, events)
	same(t, "docs/logging.md, fields of the relay", used, fields)
	reasons, _, _ = strings.Cut(reasons, "\n## ")
	documented, events = nil, nil
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z-]+) \| [a-z]`).FindAllStringSubmatch(reasons, -1) {
		documented = append(documented, m[1])
	}
	for r := range relaycount.Reasons {
		events = append(events, r.String())
	}
	same(t, "docs/logging.md, Reasons of the relay", slices.DeleteFunc(documented, func(s string) bool { return s == "reason" }), events)
}

// An operator who reads a name under hardening must find it.
func TestHardeningNames(t *testing.T) {
	name := regexp.MustCompile(`\b(?:add\(|Missing\{)"([a-z0-9-]+)"|^\s*\{"([a-z]+-set)", s\.|, \{"([a-z]+-set)", s\.`)
	var known []string
	// A name that is used twice is a constant.
	constant := regexp.MustCompile(`(?m)^const (\w+) = "([a-z0-9-]+)"$`)
	for _, text := range sources(t, "init/boot", "internal/privs") {
		for _, m := range constant.FindAllStringSubmatch(text, -1) {
			if strings.Contains(text, "hardening.add("+m[1]+", ") {
				known = append(known, m[2])
			}
		}
		for line := range strings.Lines(text) {
			for _, m := range name.FindAllStringSubmatch(line, -1) {
				if n := m[1] + m[2] + m[3]; n != "cap-" {
					known = append(known, n)
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`CAP_\w+, "(\w+)"`).FindAllStringSubmatch(read(t, "internal/privs/privs.go"), -1) {
		known = append(known, "cap-"+m[1])
	}
	if len(known) < 20 {
		t.Fatalf("found only %q", known)
	}
	same(t, "docs/hardening.md", column(read(t, "docs/hardening.md"), 1), known)
}

// A check that fails sends its reader to this page.
func TestImageChecks(t *testing.T) {
	_, page, _ := strings.Cut(read(t, "docs/image.md"), "## Checks")
	page, _, _ = strings.Cut(page, "## JSON")
	all, err := verify.Run(t.Context(), verify.Root(t.TempDir()), verify.Options{Profile: "openclaw"}) // its profile has every check
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, c := range all.Checks {
		known = append(known, c.Name)
	}
	same(t, "docs/image.md", column(page, 1), known)
	_, page, _ = strings.Cut(read(t, "docs/image.md"), "## Profiles")
	page, _, _ = strings.Cut(page, "## Checks")
	profiles, err := verify.LoadProfiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range profiles.Names() {
		if !strings.Contains(page, "\n| "+name+" |") {
			t.Errorf("docs/image.md does not have the profile %s", name)
		}
	}
}

// Each flag of a verb is in the manual, and the other way round.
func TestManualHasTheFlags(t *testing.T) {
	flagName := regexp.MustCompile(`--[a-z][a-z0-9-]+`)
	page := read(t, "man/gatewayctl.1.md")
	_, commands, _ := strings.Cut(page, "## COMMANDS")
	commands, _, _ = strings.Cut(commands, "## OPTIONS")
	help := regexp.MustCompile("(?s)name: \"([a-z -]+)\".*?help: (`[^`]*`|\"[^\"]*\")")
	seen := 0
	for _, text := range sources(t, "gatewayctl") {
		for _, m := range help.FindAllStringSubmatch(text, -1) {
			seen++
			_, paragraph, _ := strings.Cut(commands, "\n**"+m[1]+"**")
			paragraph, _, _ = strings.Cut(paragraph, "\n\n**")
			same(t, "man/gatewayctl.1.md, "+m[1], flagName.FindAllString(paragraph, -1), flagName.FindAllString(m[2], -1))
		}
	}
	if seen < 10 {
		t.Errorf("found the help of %d verbs", seen)
	}
}

// Each module that go.mod requires has its reason.
func TestDependencies(t *testing.T) {
	page := read(t, "docs/dependencies.md")
	required := regexp.MustCompile(`(?m)^\t(\S+/\S+) (v\S+)`).FindAllStringSubmatch(read(t, "go.mod"), -1)
	if len(required) == 0 {
		t.Fatal("go.mod requires nothing")
	}
	for _, m := range required {
		if !strings.Contains(page, "`"+m[1]+"` "+m[2]) {
			t.Errorf("docs/dependencies.md does not have `%s` %s", m[1], m[2])
		}
	}
	for _, tool := range []string{"staticcheck", "actionlint"} {
		version := regexp.MustCompile(tool + `@(v\S+)`).FindStringSubmatch(read(t, "Makefile"))
		if version == nil || !strings.Contains(page, "("+tool+") "+version[1]+" ") {
			t.Errorf("docs/dependencies.md has not the Makefile's %s %q", tool, version)
		}
	}
}

// TestManualHasTheFlagsOfTheRelay checks that the manual has each flag.
func TestManualHasTheFlagsOfTheRelay(t *testing.T) {
	known := []string{"help"} // of package flag
	for _, m := range regexp.MustCompile(`f\.\w+Var\(&o\.\w+, "([a-z-]+)"`).FindAllStringSubmatch(read(t, "relay/main.go"), -1) {
		known = append(known, m[1])
	}
	_, page, _ := strings.Cut(read(t, "man/gateway-relay.8.md"), "## OPTIONS")
	page, _, _ = strings.Cut(page, "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile(`\*\*--([a-z-]+)\*\*`).FindAllStringSubmatch(page, -1) {
		documented = append(documented, m[1])
	}
	same(t, "man/gateway-relay.8.md", documented, known)
}

// What is in PID 1 is in the page about it.
func TestPackagesOfPID1(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "../init").Output()
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for p := range strings.Lines(string(out)) {
		if name, ours := strings.CutPrefix(strings.TrimSpace(p), "github.com/gateway-init/gateway-init/"); ours {
			known = append(known, name)
		}
	}
	_, page, _ := strings.Cut(read(t, "docs/tcb.md"), "## Packages")
	page, _, _ = strings.Cut(page, "## What parses what")
	same(t, "docs/tcb.md", column(page, 1), known)
}

// The options and what the manual says of them.
func TestManualHasTheUsage(t *testing.T) {
	option := regexp.MustCompile(`--[a-z][a-z-]+`)
	usage := func(file string) string {
		_, text, _ := strings.Cut(read(t, file), "const usage = `")
		text, _, _ = strings.Cut(text, "\n`\n")
		return text
	}
	section := func(from, to string) string {
		_, page, _ := strings.Cut(read(t, "man/gateway-init.8.md"), from)
		page, _, _ = strings.Cut(page, to)
		return page
	}
	options := section("## OPTIONS", "## PLAIN INIT MODE")
	same(t, "man/gateway-init.8.md", option.FindAllString(options, -1), option.FindAllString(usage("init/boot/args.go"), -1))

	option = regexp.MustCompile(`(?m)(?:^|[ ,*])(--?[a-zA-Z][a-z-]*)`)
	words := func(text string) (all []string) {
		for _, m := range option.FindAllStringSubmatch(text, -1) {
			if m[1] != "-vv" { // said of -v
				all = append(all, m[1])
			}
		}
		return all
	}
	plain := words(section("## PLAIN INIT MODE", "## BOOT"))
	same(t, "man/gateway-init.8.md", plain, words(usage("init/plain/usage.go")))
	for _, word := range plain {
		if o, err := parsePlain(word); err != nil {
			t.Errorf("%s is documented and refused: %v (%+v)", word, err, o)
		}
	}
}

// parsePlain reads one option of plain mode, with a value where it needs one.
func parsePlain(word string) (plain.Options, error) {
	value := map[string]string{"-p": "TERM", "-e": "1", "-r": "1:2", "--rewrite": "1:2", "--user": "u", "--grace": "1"}
	args := []string{word, "true"}
	if v := value[word]; v != "" {
		args = []string{word, v, "true"}
	}
	return plain.Parse(args, func(string) (string, bool) { return "", false })
}

// A link that leads nowhere, or to a place that a reader does not have.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	pages, err := filepath.Glob("../*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, top...) {
		for _, m := range link.FindAllStringSubmatch(read(t, strings.TrimPrefix(page, "../")), -1) {
			if strings.Contains(m[1], "://") {
				t.Errorf("%s depends on another place: %s", page, m[1])
			} else if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// files are the code and pages of the tree, by path.
func files(t *testing.T, ext ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "bin" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || !slices.Contains(ext, filepath.Ext(path)):
			return nil
		}
		name := strings.TrimPrefix(path, "../")
		out[name] = read(t, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A section, an invariant or a scenario that code or a page cites is there: a
// reader has nothing else.
func TestCitations(t *testing.T) {
	known := map[string]bool{"E02": true} // not built yet: the page says so
	for _, m := range regexp.MustCompile(`(?m)^## (\d+)\. `).FindAllStringSubmatch(read(t, "docs/design.md"), -1) {
		known["section "+m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*(I\d+) `).FindAllStringSubmatch(read(t, "docs/design.md"), -1) {
		known[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([CLPTGFE]\d\d) \| [^|]+\. \|`).FindAllStringSubmatch(read(t, "tests/scenarios.md"), -1) {
		known[m[1]] = true
	}
	if !known["section 11"] || !known["I10"] || !known["F15"] {
		t.Fatalf("found no sections, invariants or scenarios: %v", known)
	}
	wrapped := regexp.MustCompile(`\n\s*// ?`)
	section := regexp.MustCompile(`design\.md,? (section \d+)`)
	comment := regexp.MustCompile(`(?m)//.*$`)
	id := regexp.MustCompile(`\b(?:I\d{1,2}|[CLPTGFE]\d\d)\b`)
	for name, text := range files(t, ".go", ".md", ".sh") {
		for _, m := range section.FindAllStringSubmatch(wrapped.ReplaceAllString(text, " "), -1) {
			if !known[m[1]] {
				t.Errorf("%s cites %s of docs/design.md, which does not exist", name, m[1])
			}
		}
		prose := text
		if strings.HasSuffix(name, ".go") {
			prose = strings.Join(comment.FindAllString(text, -1), "\n")
		}
		for _, m := range id.FindAllString(prose, -1) {
			if !known[m] {
				t.Errorf("%s cites %s, which does not exist", name, m)
			}
		}
	}
}
