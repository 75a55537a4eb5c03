package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fabgo/internal/inventory"
	"fabgo/internal/report"
)

func (e *env) hostsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		ValidArgsFunction: completeHosts,

		Use:   "hosts [HOST|@GROUP...]",
		Short: "List the hosts of the inventory",
		Long: `Hosts lists the hosts of inventory.yaml at the root of the repository that you are in: what is
dialled, the groups, and the bundle. A dash means that ssh_config decides, or the name. Nothing is
connected to.`,
		Example: "  fabgo hosts\n  fabgo hosts @web",
		RunE: func(_ *cobra.Command, args []string) error {
			repo, err := repositoryHere()
			if err != nil {
				return err
			}
			if repo.hosts.Path == "" {
				return invalid(fmt.Errorf("list the hosts: there is no %s in %s; docs/settings.md says what stands in one, and fabgo init writes one", inventory.File, repo.root))
			}
			if len(args) == 0 {
				args = repo.hosts.Names()
			}
			names, err := repo.choose(args)
			if err != nil {
				return err
			}
			var hosts []inventory.Host
			for _, name := range names {
				h, ok := repo.hosts.Host(name)
				if !ok {
					return usage("%s: there is no such host in %s", name, repo.hosts.Path)
				}
				hosts = append(hosts, h)
			}
			if asJSON {
				return e.hostsJSON(repo, hosts)
			}
			return e.hostsText(repo, hosts)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a host and line")
	return cmd
}

func (e *env) hostsText(repo *repository, hosts []inventory.Host) error {
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tUSER\tADDRESS\tPORT\tGROUPS\tBUNDLE")
	for _, h := range hosts {
		port := ""
		if h.Port != 0 {
			port = strconv.Itoa(h.Port)
		}
		row := []string{h.Name, h.User, h.Address, port, strings.Join(groupNames(repo, h.Name), ","), h.Bundle}
		for i, cell := range row {
			if row[i] = report.Escape(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func (e *env) hostsJSON(repo *repository, hosts []inventory.Host) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	for _, h := range hosts {
		if err := enc.Encode(struct {
			Host    string   `json:"host"`
			Address string   `json:"address,omitempty"`
			User    string   `json:"user,omitempty"`
			Port    int      `json:"port,omitempty"`
			Bundle  string   `json:"bundle,omitempty"`
			Groups  []string `json:"groups,omitempty"`
		}{h.Name, h.Address, h.User, h.Port, h.Bundle, groupNames(repo, h.Name)}); err != nil {
			return err
		}
	}
	return nil
}

// groupNames are the groups of a host, those that hold others first.
func groupNames(repo *repository, host string) (names []string) {
	for _, g := range repo.hosts.GroupsOf(host) {
		names = append(names, g.Name)
	}
	return names
}
