package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// The exit codes of a service.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2 // also after a panic, as the runtime does
	exitInvalid = 3
)

// Program is a service: its name, its configuration struct C and what it does.
type Program[C any] struct {
	// Name is the service's name in the compose file.
	Name string
	// Run does the work. It returns when ctx is done, or when it has failed,
	// or, in a one-shot, when it has finished.
	Run func(ctx context.Context, kit *Kit, config *C) error
	// HealthURL is what the health subcommand asks, and Run serves it. Zero:
	// the kit serves /health on HEALTH_ADDRESS.
	HealthURL string
	// OneShot says that the program ends without being asked and has no health
	// endpoint.
	OneShot bool
}

// Process is what a program gets from its surroundings.
type Process struct {
	Args           []string // without the program's name
	LookupEnv      func(string) (string, bool)
	Stdout, Stderr io.Writer
	// Loader loads the secrets. The zero value is the standard order.
	Loader secrets.Loader
}

// Main runs the program in the real process: arguments, environment, signals
// and the default loggers. It returns the exit code.
func (p Program[C]) Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return p.execute(ctx, Process{
		Args:      os.Args[1:],
		LookupEnv: os.LookupEnv,
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
	}, adoptDefaults)
}

// Execute runs the program with the surroundings given and returns the exit
// code. Unlike Main it touches neither signals nor the default loggers.
func (p Program[C]) Execute(ctx context.Context, process Process) int {
	return p.execute(ctx, process, func(*slog.Logger) <-chan os.Signal { return nil })
}

// execute chooses the subcommand.
func (p Program[C]) execute(ctx context.Context, process Process, adopt adopter) int {
	switch strings.Join(process.Args, " ") {
	case "":
		return p.serve(ctx, process, adopt)
	case "version":
		fmt.Fprintln(process.Stdout, p.Name, version())
		return exitDone
	case "health":
		return p.askHealth(ctx, process, question{})
	case "health -started":
		return p.askHealth(ctx, process, question{started: true})
	case "health -v":
		return p.askHealth(ctx, process, question{secrets: true})
	}
	fmt.Fprintf(process.Stderr, "%s: unknown arguments; it takes none, or one of: health, health -started, health -v, version\n", p.Name)
	return exitUsage
}

// load fills a configuration and returns the report of the secrets and all
// problems, each without a value.
func (p Program[C]) load(process Process) (*C, secrets.Report, []problem) {
	config := new(C)
	loader := process.Loader
	if loader.LookupEnv == nil {
		loader.LookupEnv = process.LookupEnv
	}
	report, err := loader.Load(config)
	problems := secretProblems(err)
	return config, report, append(problems, loadEnvironment(config, process.LookupEnv)...)
}

// serve loads, sets up and runs the program until it ends.
func (p Program[C]) serve(ctx context.Context, process Process, adopt adopter) int {
	config, report, problems := p.load(process)
	level, levelProblems := logLevel(process.LookupEnv)
	address, addressProblems := healthAddress(process.LookupEnv)
	problems = slices.Concat(problems, levelProblems, addressProblems)
	matcher := redact.New(report.Known())
	log := newLogger(process.Stderr, matcher, level).With("service", p.Name)
	if len(problems) > 0 {
		return refuse(log, problems)
	}
	warnAbout(log, report, matcher)
	quit := adopt(log)
	kit := newKit(ctx, p.Name, log, report)
	defer kit.cancel(nil)
	if !p.OneShot && p.HealthURL == "" {
		kit.Go("health", func(ctx context.Context) error {
			return kit.Serve(ctx, Server{Address: address, Handler: kit.Health.Handler(true)})
		})
	}
	kit.run(func(ctx context.Context) error { return p.Run(ctx, kit, config) })
	log.Info("started", "version", version())
	return kit.wait(ctx, quit)
}

// refuse logs every problem and returns the exit code for them.
func refuse(log *slog.Logger, problems []problem) int {
	for _, one := range problems {
		log.Error(one.what, one.attributes()...)
	}
	log.Error("not started", "problems", len(problems))
	return exitInvalid
}

// warnAbout names values too short to be masked and sources that hold another
// value than the one in use.
func warnAbout(log *slog.Logger, report secrets.Report, matcher *redact.Matcher) {
	for _, name := range matcher.Unmasked() {
		log.Warn("value is too short to be masked in logs", "secret", name)
	}
	for _, one := range report.Shadows {
		log.Warn("a second source has this secret too", "secret", one.Name, "why", one.Why,
			"used", one.Used.Place, "hidden", one.Hidden.Place)
	}
	for _, one := range report.Loaded {
		log.Info("secret loaded", "secret", one.Name, "source", string(one.Kind), "place", one.Place)
	}
}

// ConfigError is returned by Run when it finds that a setting or a secret that
// could be loaded cannot be used. The program then exits 3.
type ConfigError struct {
	Name string // the variable or the secret
	What string // in lower case, without the value
	Next string // what to do
}

// Error names the setting and the problem.
func (e *ConfigError) Error() string { return e.Name + ": " + e.What }

// adopter makes a logger the default of the process and returns where requests for a
// dump of all goroutines arrive, or nil.
type adopter func(*slog.Logger) <-chan os.Signal

// adoptDefaults sends the standard library's loggers through log and takes
// SIGQUIT, so that its dump can be masked.
func adoptDefaults(logger *slog.Logger) <-chan os.Signal {
	slog.SetDefault(logger) // also redirects package log
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	return quit
}

// version is the commit that the binary was built from, as the Go tool
// recorded it, or "devel".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	version := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			version = setting.Value[:12]
		}
	}
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	return version + " " + info.GoVersion
}
