package flightsvc

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/tickets"
)

// explainAction is the only action that runs. Feast's are listed, because its servers list them; they are commands of DoPut.
const explainAction = "flightd.explain"

// ListActions lists what DoAction takes.
func (s *Server) ListActions(_ *flight.Empty, stream flight.FlightService_ListActionsServer) error {
	if s.feast != nil {
		for _, a := range feastActions {
			if err := stream.Send(a); err != nil {
				return err
			}
		}
	}
	return stream.Send(&flight.ActionType{Type: explainAction,
		Description: "Runs a ticket, throws the answer away, and returns as JSON what was read, what was skipped and how."})
}

// DoAction runs an action.
func (s *Server) DoAction(action *flight.Action, stream flight.FlightService_DoActionServer) error {
	switch name := action.GetType(); {
	case name == explainAction:
	case slices.ContainsFunc(feastActions, func(a *flight.ActionType) bool { return a.Type == name }):
		return fault.New(fault.Unimplemented, "%q is a command of DoPut and not run as an action; there is %q", name, explainAction)
	default:
		return fault.New(fault.Unimplemented, "no action %s; there is %q", nearest.Quote(name), explainAction)
	}
	body, err := s.explain(stream.Context(), action.GetBody())
	if err != nil {
		return err
	}
	return stream.Send(&flight.Result{Body: body})
}

// explain runs a request to its end, because what is skipped depends on what is in the rows.
func (s *Server) explain(ctx context.Context, ticket []byte) ([]byte, error) {
	t, err := parse(ctx, tickets.DoGet, ticket)
	if err != nil {
		return nil, err
	}
	if err := callOf(ctx).place.enter(ctx, s.reads, queueForReads); err != nil {
		return nil, err
	}
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := s.answer(ctx, t, entities, nowhere{}); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	did := c.trace
	return json.Marshal(struct {
		Plan         []string `json:"plan"`
		Rows         int64    `json:"rows"`
		PartsRead    int64    `json:"parts_read"`
		PartsSkipped int64    `json:"parts_skipped"`
		FilesRead    int64    `json:"files_read"`
		FilesSkipped int64    `json:"files_skipped"`
		BytesRead    int64    `json:"bytes_read"`
		BytesSkipped int64    `json:"bytes_skipped"`
		RowsRead     int64    `json:"rows_read"`
		Fetched      int64    `json:"feature_rows_fetched"`
		Memory       int64    `json:"memory_reserved_bytes"`
	}{did.Plan, c.rows, did.PartsRead, did.PartsSkipped, did.FilesRead, did.FilesSkipped,
		did.BytesRead, did.BytesSkipped, did.RowsRead, did.Fetched, c.memory.peak.Load()})
}

// nowhere is where an answer goes that only has to be made.
type nowhere struct{}

func (nowhere) SendMsg(any) error { return nil }
