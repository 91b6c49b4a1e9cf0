package tickets

import (
	"errors"
	"strings"
	"testing"
)

// refused lists what is refused and how the message begins. The call is DoGet where none is named.
var refused = []struct {
	call   Call
	ticket string
	want   string
}{
	// not one JSON object
	{"", ``, `ticket: it is empty`},
	{"", `driver_stats`, `ticket: not JSON near byte 0: invalid character 'd'`},
	{"", `null`, `ticket: want an object, found null`},
	{"", `"all"`, `ticket: want an object, found the string "all"`},
	{"", `[{"all": {"view": "v"}}]`, `ticket: want an object, found a list`},
	{"", `{"all": {"view": "v"}`, `ticket: the JSON ends in the middle`},
	{"", `{"all": {"view": "v`, `all.view: the JSON ends in the middle`},
	{"", `{"all": {"view": "v"},}`, `ticket: not JSON near byte`},
	{"", `{"all": {"view" "v"}}`, `all.view: not JSON near byte`},
	{"", `{"all": {"view": 'v'}}`, `all.view: not JSON near byte`},
	{"", `{"all": {"features": ["a",]}}`, `all.features[1]: not JSON near byte`},
	{"", `{"all": {"view": "v"}} {}`, `ticket: there is something after the object`},
	{"", `{"all": {"view": "v"}} x`, `ticket: there is something after the object`},
	{"", "{\"all\": {\"view\": \"v\"}}\x00", `ticket: there is something after the object`},
	{"", "{\"all\": {\"view\": \"\xff\"}}", `ticket: it is not UTF-8`},
	{"", strings.Repeat("[", 1<<20), `ticket: want an object, found a list`},
	{"", `{"all": ` + strings.Repeat(`{"view":`, 1<<18), `all.view: want a string, found an object`},

	// the keys at the top
	{"", `{}`, `ticket: exactly one of the keys historical, latest and all is needed, found none`},
	{"", `{"all": {"view": "v"}, "latest": {"view": "v"}}`, `ticket: exactly one of the keys historical, latest and all is needed, found latest and all`},
	{"", `{"histrical": {}}`, `ticket: unknown key "histrical"; did you mean "historical"?`},
	{"", `{"All": {"view": "v"}}`, `ticket: unknown key "All"; did you mean "all"?`},
	{"", `{"sql": "select 1"}`, `ticket: unknown key "sql"; known: all,`},
	{"", `{"something": 1}`, `ticket: unknown key "something"; known: all, entity_rows, historical, latest, log, parts, write`},
	{"", `{"all": {"view": "v"}, "all": {"view": "v"}}`, `all: the key is given twice`},
	{"", `{"all": {"view": "v"}, "\u0061ll": {"view": "v"}}`, `all: the key is given twice`},
	{"", `{"write": {"view": "v"}}`, `write: DoGet takes historical, latest and all; this key belongs to DoPut`},
	{DoPut, `{"all": {"view": "v"}}`, `all: DoPut takes write, log and entity_rows; this key belongs to DoGet, GetFlightInfo, GetSchema`},
	{DoExchange, `{"latest": {"view": "v"}}`, `latest: DoExchange takes historical; this key belongs to DoGet, GetFlightInfo, GetSchema`},
	{"", `{"all": null}`, `all: want an object, found null`},
	{"", `{"all": "v"}`, `all: want an object, found the string "v"`},

	// parts
	{"", `{"all": {"view": "v"}, "parts": 4}`, `parts: it belongs to GetFlightInfo alone; DoGet asks for one share with the key part`},
	{GetSchema, `{"all": {"view": "v"}, "parts": 4}`, `parts: it belongs to GetFlightInfo alone`},
	{GetFlightInfo, `{"latest": {"view": "v"}, "parts": 4}`, `parts: it cannot stand beside latest`},
	{GetFlightInfo, `{"all": {"view": "v", "part": [0, 2]}, "parts": 4}`, `parts: it cannot stand beside all.part`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": 0}`, `parts: want 1 to 65536, found 0`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": -1}`, `parts: want 1 to 65536, found -1`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": 65537}`, `parts: want 1 to 65536, found 65537`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": 4.0}`, `parts: want a whole number`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": 1e3}`, `parts: want a whole number`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": 99999999999999999999}`, `parts: want a whole number of at most 32 bits`},
	{GetFlightInfo, `{"all": {"view": "v"}, "parts": "4"}`, `parts: want a whole number, found the string "4"`},

	// views and features
	{"", `{"all": {}}`, `all.view: it is needed`},
	{"", `{"latest": {}}`, `latest.view: it is needed`},
	{"", `{"all": {"view": ""}}`, `all.view: the string is empty`},
	{"", `{"all": {"view": null}}`, `all.view: want a string, found null`},
	{"", `{"all": {"view": 3}}`, `all.view: want a string, found the number "3"`},
	{"", `{"all": {"view": true}}`, `all.view: want a string, found true`},
	{"", `{"all": {"view": ["v"]}}`, `all.view: want a string, found a list`},
	{"", `{"all": {"view": "v", "view": "v"}}`, `all.view: the key is given twice`},
	{"", `{"all": {"view": "v", "features": []}}`, `all.features: the list is empty`},
	{"", `{"all": {"view": "v", "features": null}}`, `all.features: want a list, found null`},
	{"", `{"all": {"view": "v", "features": "a"}}`, `all.features: want a list, found the string "a"`},
	{"", `{"all": {"view": "v", "features": ["a", 1]}}`, `all.features[1]: want a string, found the number "1"`},
	{"", `{"all": {"view": "v", "features": ["a", ""]}}`, `all.features[1]: the string is empty`},
	{"", `{"all": {"view": "v", "features": ["a", "b", "a"]}}`, `all.features[2]: "a" is there already, at [0]`},
	{"", `{"latest": {"view": "v", "features": ["a", "a"]}}`, `latest.features[1]: "a" is there already, at [0]`},
	{"", `{"latest": {"view": "v", "part": [0, 2]}}`, `latest: unknown key "part"; known: end, features, start, view`},
	{"", `{"latest": {"view": "v", "feature": ["a"]}}`, `latest: unknown key "feature"; did you mean "features"?`},
	{"", `{"all": {"view": "v", "features": [` + strings.Repeat(`"a",`, 65536) + `"a"]}}`, `all.features: the list has more than 65536 values`},

	// historical: features
	{"", `{"historical": {"end": "2024-01-01T00:00:00Z"}}`, `historical: one of features and feature_service is needed`},
	{"", `{"historical": {"features": ["v"], "feature_service": "s", "entity_rows_id": "x"}}`, `historical: features and feature_service cannot stand together`},
	{"", `{"historical": {"features": [], "entity_rows_id": "x"}}`, `historical.features: the list is empty`},
	{"", `{"historical": {"features": ["v:a", "v:b", "v:a"], "entity_rows_id": "x"}}`, `historical.features[2]: "v:a" is there already, at [0]`},
	{"", `{"historical": {"features": ["v", "v"], "entity_rows_id": "x"}}`, `historical.features[1]: "v" is there already, at [0]`},
	{"", `{"historical": {"features": ["v:a", ":a"]}}`, `historical.features[1]: ":a" names no view`},
	{"", `{"historical": {"features": ["v:"]}}`, `historical.features[0]: "v:" names no feature after the colon; all features of the view are written "v"`},
	{"", `{"historical": {"features": ["v@:a"]}}`, `historical.features[0]: "v@:a" has a malformed version`},
	{"", `{"historical": {"features": ["v@2:a"]}}`, `historical.features[0]: "v@2:a" has a malformed version`},
	{"", `{"historical": {"features": ["v@v2@v3"]}}`, `historical.features[0]: "v@v2@v3" has a malformed version`},
	{"", `{"historical": {"features": [{"view": "v"}]}}`, `historical.features[0]: want a string, found an object`},
	{"", `{"historical": {"feature_service": ""}}`, `historical.feature_service: the string is empty`},
	{"", `{"historical": {"featuers": ["v"]}}`, `historical: unknown key "featuers"; did you mean "features"?`},

	// historical: where the entity rows come from
	{"", `{"historical": {"features": ["v"]}}`, `historical: there are no entity rows; give entity_rows, entity_rows_id or end, or stream them with DoExchange`},
	{GetFlightInfo, `{"historical": {"features": ["v"]}}`, `historical: there are no entity rows`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QQ==", "entity_rows_id": "x"}}`, `historical: entity rows come in one way, found entity_rows and entity_rows_id`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QQ==", "end": "2024-01-01T00:00:00Z"}}`, `historical.end: it cannot stand beside entity_rows`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "x", "start": "2024-01-01T00:00:00Z"}}`, `historical.start: it cannot stand beside entity_rows_id`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "x", "mode": "timeline"}}`, `historical.mode: it cannot stand beside entity_rows_id; it is for requests without entity rows`},
	{DoExchange, `{"historical": {"features": ["v"], "entity_rows_id": "x"}}`, `historical: entity rows come in one way, found entity_rows_id and the rows that are streamed`},
	{DoExchange, `{"historical": {"features": ["v"], "end": "2024-01-01T00:00:00Z"}}`, `historical.end: it cannot stand beside the rows that are streamed`},
	{DoExchange, `{"historical": {"features": ["v"], "mode": "snapshot"}}`, `historical.mode: it cannot stand beside the rows that are streamed`},
	{"", `{"historical": {"features": ["v"], "start": "2024-01-01T00:00:00Z"}}`, `historical.end: it is needed, because there are no entity rows and start is given`},
	{GetSchema, `{"historical": {"features": ["v"], "mode": "snapshot"}}`, `historical.end: it is needed, because there are no entity rows and mode is given`},
	{"", `{"historical": {"features": ["v"], "end": "2024-01-01T00:00:00Z", "mode": "snapshots"}}`, `historical.mode: unknown mode "snapshots"; did you mean "snapshot"?`},
	{"", `{"historical": {"features": ["v"], "end": "2024-01-01T00:00:00Z", "timestamp": "t"}}`, `historical.timestamp: it names a column of entity rows, and there are none`},

	// historical: values
	{"", `{"historical": {"features": ["v"], "entity_rows": ""}}`, `historical.entity_rows: the string is empty`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QUJD\nQUJD"}}`, `historical.entity_rows: the base64 text is broken into lines (at byte 4)`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QUJ_"}}`, `historical.entity_rows: the base64 text is in the URL alphabet`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QUJDQQ"}}`, `historical.entity_rows: the base64 text has 6 characters, not a multiple of four`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QU!DQQ"}}`, `historical.entity_rows: not base64: illegal base64 data at input byte 2`},
	{"", `{"historical": {"features": ["v"], "entity_rows": "QR=="}}`, `historical.entity_rows: not base64: illegal base64 data`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "` + strings.Repeat("x", 257) + `"}}`, `historical.entity_rows_id: at most 256 bytes are allowed, found 257`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "x", "report": 1}}`, `historical.report: want true or false, found the number "1"`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "x", "known_at": null}}`, `historical.known_at: want true or false, found null`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "x", "full_feature_names": "yes"}}`, `historical.full_feature_names: want true or false, found the string "yes"`},

	// part
	{"", `{"all": {"view": "v", "part": [4, 4]}}`, `all.part: want [i, n] with 0 <= i < n and n at most 65536, found [4, 4]`},
	{"", `{"all": {"view": "v", "part": [-1, 4]}}`, `all.part: want [i, n]`},
	{"", `{"all": {"view": "v", "part": [0, 0]}}`, `all.part: want [i, n]`},
	{"", `{"all": {"view": "v", "part": [0, 65537]}}`, `all.part: want [i, n]`},
	{"", `{"all": {"view": "v", "part": [0]}}`, `all.part: want [i, n], the share and how many there are, found 1 numbers`},
	{"", `{"all": {"view": "v", "part": [0, 1, 2]}}`, `all.part: want [i, n], the share and how many there are, found 3 numbers`},
	{"", `{"all": {"view": "v", "part": 1}}`, `all.part: want a list, found the number "1"`},
	{"", `{"historical": {"features": ["v"], "entity_rows_id": "x", "part": [0.0, 4]}}`, `historical.part[0]: want a whole number`},

	// times
	{"", `{"all": {"view": "v", "start": "2024-02-01T00:00:00Z", "end": "2024-01-01T00:00:00Z"}}`, `all.start: 2024-02-01T00:00:00Z is after the end, 2024-01-01T00:00:00Z`},
	{"", `{"historical": {"features": ["v"], "start": "2024-02-01T00:00:00Z", "end": "2024-01-01T00:00:00Z"}}`, `historical.start: 2024-02-01T00:00:00Z is after the end`},
	{"", `{"latest": {"view": "v", "start": "2024-01-01T00:00:00Z", "end": "2024-01-01T00:00:00+01:00"}}`, `latest.start: 2024-01-01T00:00:00Z is after the end, 2023-12-31T23:00:00Z`},
	{"", `{"all": {"view": "v", "end": "2024-01-01"}}`, `all.end: want a time like 2024-01-31T12:00:00Z`},
	{"", `{"all": {"view": "v", "end": "2024-01-01 00:00:00"}}`, `all.end: want a time`},
	{"", `{"all": {"view": "v", "end": "2024-02-30T00:00:00Z"}}`, `all.end: want a time`},
	{"", `{"all": {"view": "v", "end": "2024-01-01T24:00:00Z"}}`, `all.end: want a time`},
	{"", `{"all": {"view": "v", "end": "2024-01-01T0:00:00Z"}}`, `all.end: want a time`},
	{"", `{"all": {"view": "v", "end": "2024-01-01T00:00:00,5Z"}}`, `all.end: want a time`},
	{"", `{"all": {"view": "v", "end": "2024-01-01T00:00:00+25:00"}}`, `all.end: want a time`},
	{"", `{"all": {"view": "v", "end": "2024-01-01T00:00:00.1234567890Z"}}`, `all.end: the time "2024-01-01T00:00:00.1234567890Z" is finer than nanoseconds`},
	{"", `{"all": {"view": "v", "end": "0001-01-01T00:00:00Z"}}`, `all.end: the time "0001-01-01T00:00:00Z" does not lie after 0001-01-01T00:00:00Z and before the year 10000`},
	{"", `{"all": {"view": "v", "end": "9999-12-31T23:00:00-02:00"}}`, `all.end: the time "9999-12-31T23:00:00-02:00" does not lie`},
	{"", `{"all": {"view": "v", "end": 1704067200}}`, `all.end: want a string, found the number "1704067200"`},
	{"", `{"all": {"view": "v", "end": ""}}`, `all.end: the string is empty`},

	// writes
	{DoPut, `{"write": {}}`, `write.view: it is needed`},
	{DoPut, `{"write": {"view": "v", "request_id": ""}}`, `write.request_id: the string is empty`},
	{DoPut, `{"write": {"view": "v", "request_id": "` + strings.Repeat("ü", 129) + `"}}`, `write.request_id: at most 256 bytes are allowed, found 258`},
	{DoPut, `{"write": {"view": "v", "request_id": "a\nb"}}`, `write.request_id: control characters are not allowed, found "a\nb"`},
	{DoPut, `{"write": {"feature_service": "s"}}`, `write: unknown key "feature_service"; known: request_id, view`},
	{DoPut, `{"log": {"request_id": "x"}}`, `log.feature_service: it is needed`},
	{DoPut, `{"entity_rows": {"view": "v"}}`, `entity_rows: unknown key "view"; there are none here`},
	{DoPut, `{"entity_rows": {}, "write": {"view": "v"}}`, `ticket: exactly one of the keys write, log and entity_rows is needed, found write and entity_rows`},

	// long and hostile text
	{"", `{"` + strings.Repeat("x", 5000) + `": 1}`, `ticket: unknown key "` + strings.Repeat("x", 80) + `"… (5000 bytes); known: all,`},
	{"", `{"all": "` + strings.Repeat("ü", 5000) + `"}`, `all: want an object, found the string "` + strings.Repeat("ü", 40) + `"… (10000 bytes)`},
	{"", `{"all": {"view": "v", "end": "\u001b[31m\u0000"}}`, `all.end: want a time like 2024-01-31T12:00:00Z (RFC 3339; without an offset it is UTC), found "\x1b[31m\x00"`},
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		call := c.call
		if call == "" {
			call = DoGet
		}
		_, err := ParseCommand(call, []byte(c.ticket))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s %.200s\n got %v\nwant %s", call, c.ticket, err, c.want)
		}
	}
}
