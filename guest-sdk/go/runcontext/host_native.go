//go:build !wasip1

package runcontext

import "github.com/sandmill/sandmill/guest-sdk/go/internal/fake"

func hostGet() Info {
	run := fake.Host.Run
	info := Info{RunID: run.ID, Script: run.Script, Version: "sha256:", Workspace: "main", Attempt: max(run.Attempt, 1), Deadline: run.Deadline, RunAs: run.RunAs}
	if run.TriggerKind != "" {
		info.Trigger = &Trigger{run.TriggerKind, run.TriggerPath}
	}
	return info
}

func hostPayload() []byte { return fake.Host.Run.Payload }
