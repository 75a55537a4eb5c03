package builtins

import (
	"context"
	"encoding/json"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fabgo/transport"
)

func probeInterfaces(ctx context.Context, h transport.Host) (starlark.Value, error) {
	out, err := ask(ctx, h, "ip", "-j", "address", "show")
	if err != nil {
		return nil, fmt.Errorf("%w (host.interfaces needs the command ip, of the package iproute2)", err)
	}
	var rows []struct {
		Name  string   `json:"ifname"`
		MAC   string   `json:"address"`
		Flags []string `json:"flags"`
		Addrs []struct {
			Local  string `json:"local"`
			Prefix int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		return nil, fmt.Errorf("ip -j address show: %w", err)
	}
	list := starlark.NewList(nil)
	for _, r := range rows {
		addrs := starlark.NewList(nil)
		for _, a := range r.Addrs {
			if err := addrs.Append(starlark.String(fmt.Sprintf("%s/%d", a.Local, a.Prefix))); err != nil {
				return nil, err
			}
		}
		up := false
		for _, f := range r.Flags {
			up = up || f == "UP"
		}
		mac := r.MAC
		if mac == "00:00:00:00:00:00" {
			mac = ""
		}
		if err := list.Append(starlarkstruct.FromStringDict(starlark.String("interface"), starlark.StringDict{
			"name": starlark.String(r.Name), "mac": starlark.String(mac), "up": starlark.Bool(up), "addresses": addrs,
		})); err != nil {
			return nil, err
		}
	}
	return list, nil
}
