// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the board of events now and then, on EAL's own thread, for people who watch nothing: a line
// in the log per kind of failure, at most one in ten seconds, and the last failure of each program.
#pragma once

#include <cstdint>
#include <optional>

#include "lib/xdp/events.h"

namespace crema::xdp {

/// As long as one of these lives, the board is read once a second. Control thread.
class EventLog {
  public:
    EventLog();
    ~EventLog();
    EventLog(const EventLog&) = delete;
    EventLog& operator=(const EventLog&) = delete;
};

struct LastError {
    Event event;
    std::uint64_t unix_ns = 0;
};

/// What went wrong last in runs of the program or with their frames, as of now. Any thread but
/// those of the packet path.
[[nodiscard]] std::optional<LastError> last_error_of(std::uint32_t program_id);

/// Looks at the board now and writes the lines that are due, as happens once a second.
void look_at_events();

}  // namespace crema::xdp
