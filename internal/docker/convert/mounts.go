package convert

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"
	"github.com/keepmum/keepmum/internal/docker"
)

// mounts returns volumes: and tmpfs:.
func (s service) mounts() []mount.Mount {
	var all []mount.Mount
	for i, v := range s.Volumes {
		place := s.entry(s.at("volumes"), i, len(s.Volumes))[2:]
		m := mount.Mount{Type: mount.Type(v.Type), Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
		switch v.Type {
		case "", types.VolumeTypeVolume:
			m.Type = mount.TypeVolume
			s.volume(&m, v, place)
		case types.VolumeTypeBind:
			s.bind(&m, v, place)
		case types.VolumeTypeTmpfs:
			if v.Tmpfs != nil {
				m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: os.FileMode(v.Tmpfs.Mode)}
			}
		case types.VolumeTypeNamedPipe:
		default:
			s.refuse("a mount has the type "+v.Type+", which keepmum does not convert", "write type: volume, bind or tmpfs", place...)
		}
		s.checkOptions(v, place)
		all = append(all, m)
	}
	for i, text := range s.Tmpfs {
		all = append(all, s.tmpfs(text, s.entry(s.at("tmpfs"), i, len(s.Tmpfs))[2:]))
	}
	return all
}

// checkOptions refuses options of another type of mount.
func (s service) checkOptions(v types.ServiceVolumeConfig, place []string) {
	for kind, set := range map[string]bool{
		types.VolumeTypeBind:   v.Bind != nil,
		types.VolumeTypeVolume: v.Volume != nil,
		types.VolumeTypeTmpfs:  v.Tmpfs != nil,
	} {
		if set && v.Type != kind && !(v.Type == "" && kind == types.VolumeTypeVolume) {
			s.refuse("a mount of type "+v.Type+" has options of type "+kind, "remove "+kind+": or change type:", place...)
		}
	}
	if v.Type == types.VolumeTypeTmpfs && v.Source != "" {
		s.refuse("a mount of type tmpfs has a source", "remove source:", place...)
	}
}

// volume converts the mount of a volume: of the stack, external, or anonymous.
func (s service) volume(m *mount.Mount, v types.ServiceVolumeConfig, place []string) {
	if v.Source == "" {
		return
	}
	declared := s.project.Volumes[v.Source]
	m.Source, m.VolumeOptions = s.scope(v.Source), &mount.VolumeOptions{}
	if v.Volume != nil {
		m.VolumeOptions.NoCopy, m.VolumeOptions.Subpath = v.Volume.NoCopy, v.Volume.Subpath
		if v.Volume.Subpath != "" {
			s.needs(45, "subpath of a volume", place...)
		}
	}
	if name := s.named("volumes", v.Source, declared.Name); name != "" {
		m.Source = name
	}
	if bool(declared.External) {
		if v.Volume != nil && len(v.Volume.Labels) > 0 {
			s.refuse("a mount sets labels of an external volume", "remove them", place...)
		}
		return
	}
	m.VolumeOptions.Labels = s.labels(declared.Labels, v.Source, "volumes", v.Source, "labels")
	if v.Volume != nil {
		for key, value := range s.labels(v.Volume.Labels, s.name, s.at(place...)...) {
			m.VolumeOptions.Labels[key] = value
		}
	}
	if declared.Driver != "" || declared.DriverOpts != nil {
		m.VolumeOptions.DriverConfig = &mount.Driver{Name: declared.Driver, Options: declared.DriverOpts}
	}
}

// bind converts the mount of a file or folder of the nodes.
func (s service) bind(m *mount.Mount, v types.ServiceVolumeConfig, place []string) {
	source := strings.ReplaceAll(v.Source, `\`, "/")
	absolute := path.IsAbs(source) || len(source) > 1 && source[1] == ':' || strings.HasPrefix(source, "//")
	switch {
	case v.Source == "":
		s.refuse("a bind mount has no source", "write source: with an absolute path on the nodes", place...)
	case strings.HasPrefix(v.Source, "~"):
		s.refuse("mounts "+v.Source+", and a Swarm has no home directory", "write an absolute path on the nodes", place...)
	case !absolute && s.Dir == "":
		s.refuse("mounts "+v.Source+", which is relative to a directory that the nodes do not have", "write an absolute path on the nodes, or use a config or a volume", place...)
	case !absolute:
		m.Source = path.Join(s.Dir, v.Source)
		s.notice("mounts "+v.Source+" of this machine's directory: every node where the service may run must have it at the same path", "use a config or a volume, or write an absolute path", place...)
	}
	if v.Bind == nil {
		return
	}
	s.oneOf(v.Bind.Propagation, []string{"rprivate", "private", "rshared", "shared", "rslave", "slave"}, place...)
	if v.Bind.Propagation != "" {
		m.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(v.Bind.Propagation)}
	}
	if bool(v.Bind.CreateHostPath) && s.m.Declares(s.at(append(slices.Clone(place), "bind", "create_host_path")...)...) {
		s.refuse("asks for a missing folder to be made on the node, which a Swarm does not do", "remove create_host_path, and make the folder on every node where the service may run", place...)
	}
}

// tmpfs converts an entry of tmpfs:, such as /run:size=64m,mode=1777.
func (s service) tmpfs(text string, place []string) mount.Mount {
	target, options, _ := strings.Cut(text, ":")
	m := mount.Mount{Type: mount.TypeTmpfs, Target: target}
	for _, option := range strings.Split(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		var err error
		switch key {
		case "", "rw", "noexec", "nosuid", "nodev": // what the engine does in any case
			continue
		case "ro":
			m.ReadOnly = true
			continue
		}
		if m.TmpfsOptions == nil {
			m.TmpfsOptions = &mount.TmpfsOptions{}
		}
		switch key {
		case "size":
			var size types.UnitBytes
			err = size.DecodeMapstructure(value)
			m.TmpfsOptions.SizeBytes = int64(size)
		case "mode":
			var mode uint64
			mode, err = strconv.ParseUint(value, 8, 32)
			m.TmpfsOptions.Mode = os.FileMode(mode)
		default:
			s.refuse("tmpfs has the option "+key+", which a Swarm does not take", "keep size, mode, ro, rw, noexec, nosuid and nodev only", place...)
		}
		if err != nil {
			s.refuse("the "+key+" of a tmpfs is not understood", "write size=64m or mode=1777", place...)
		}
	}
	return m
}

// stackLabels returns labels of something that only the stack owns.
func (c *converter) stackLabels(of map[string]string, subject string, path ...string) map[string]string {
	labels := c.labels(of, subject, path...)
	labels[docker.LabelStack] = c.Stack
	return labels
}
