package app

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/internal/nearest"
)

// command makes a command that takes exactly the arguments that are named: "VIEW FILE". Usage is what it does, in a few
// words.
func command(name, arguments, usage string, flags []cli.Flag, action cli.ActionFunc) *cli.Command {
	wanted := strings.Fields(arguments)
	text := strings.TrimSpace("flightd " + name + " " + arguments)
	if len(flags) > 0 {
		text += " [options]"
	}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: arguments, UsageText: text, Flags: flags, HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() < len(wanted):
				return usagef("%s: %s is missing", name, wanted[c.NArg()])
			case c.NArg() > len(wanted) && len(wanted) == 0:
				return usagef("%s takes no arguments, found %q", name, c.Args().First())
			case c.NArg() > len(wanted):
				return usagef("%s takes %s alone, found also %q", name, arguments, c.Args().Get(len(wanted)))
			}
			return action(c)
		},
	}
}

// arrange finds the command and puts its flags before its arguments, so that people may write them in any order: the
// library stops to look for flags at the first argument. Everything after -- is an argument.
func arrange(a *cli.App, args []string) (*cli.Command, []string, error) {
	if len(args) < 2 {
		return nil, args, nil
	}
	name := args[1]
	if strings.HasPrefix(name, "-") {
		if !slices.Contains([]string{"-h", "-help", "--help", "-v", "-version", "--version"}, name) {
			return nil, nil, usagef("a command comes first, found %q; flightd help lists the commands", name)
		}
		return nil, args, nil
	}
	at := slices.IndexFunc(a.Commands, func(c *cli.Command) bool { return c.Name == name })
	if at < 0 {
		var known []string
		for _, c := range a.Commands {
			known = append(known, c.Name)
		}
		return nil, nil, usagef("there is no command %s; %s (flightd help lists them)", nearest.Quote(name), nearest.Hint(name, known))
	}
	cmd := a.Commands[at]
	flags, arguments, err := separate(cmd, args[2:])
	if err != nil {
		return cmd, nil, err
	}
	return cmd, slices.Concat(args[:2], flags, []string{"--"}, arguments), nil
}

// separate takes the flags of a command, with their values, out of its arguments.
func separate(cmd *cli.Command, args []string) (flags, arguments []string, err error) {
	takesValue, known := map[string]bool{"help": false, "h": false}, []string{"help"}
	for _, f := range cmd.Flags {
		for _, name := range f.Names() {
			takesValue[name] = f.(cli.DocGenerationFlag).TakesValue()
			if len(name) > 1 {
				known = append(known, name)
			}
		}
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return flags, append(arguments, args[i+1:]...), nil
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			arguments = append(arguments, arg)
			continue
		}
		name, _, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		value, ok := takesValue[name]
		if !ok {
			return nil, nil, usagef("%s has no flag %s; %s", cmd.Name, nearest.Quote(arg), flagHint(name, known))
		}
		flags = append(flags, arg)
		if value && !joined {
			if i++; i == len(args) {
				return nil, nil, usagef("the flag %s wants a value", arg)
			}
			flags = append(flags, args[i])
		}
	}
	return flags, arguments, nil
}

func flagHint(name string, known []string) string {
	if near, ok := nearest.Name(name, known); ok {
		return "did you mean --" + near + "?"
	}
	return "known: --" + strings.Join(known, ", --")
}

func helpCommand() *cli.Command {
	help := command("help", "", "print this, or what a command does: flightd help COMMAND", nil, nil)
	help.UsageText = "flightd help [COMMAND]"
	help.Action = func(c *cli.Context) error {
		if !c.Args().Present() {
			return cli.ShowAppHelp(c)
		}
		name := c.Args().First()
		cmd := c.App.Command(name)
		switch {
		case c.NArg() > 1:
			return usagef("help takes one command, found also %q", c.Args().Get(1))
		case cmd == nil:
			var known []string
			for _, other := range c.App.Commands {
				known = append(known, other.Name)
			}
			return usagef("there is no command %s; %s", nearest.Quote(name), nearest.Hint(name, known))
		}
		return c.App.RunContext(c.Context, []string{c.App.Name, name, "--help"})
	}
	return help
}
