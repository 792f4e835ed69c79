// SPDX-License-Identifier: BSD-3-Clause
//
// The text form: "machine", "initial" and "packet" lines start a part, indented lines belong to it.
#include "tests/support/transcript.h"

#include <charconv>
#include <fmt/format.h>
#include <string_view>

namespace crema::test {
namespace {

constexpr std::string_view kZero = "zero";

MapState changes(const MapState& before, const MapState& after) {
    MapState result;
    for (const auto& [entry, value] : after) {
        const auto old = before.find(entry);
        if (old == before.end() || old->second != value) {
            result[entry] = value;
        }
    }
    for (const auto& [entry, value] : before) {
        if (!after.contains(entry)) {
            result[entry] = "";
        }
    }
    return result;
}

void compare_maps(const std::string& where,
                  const MapState& expected,
                  const MapState& got,
                  std::vector<std::string>& found) {
    for (const auto& [entry, value] : expected) {
        const auto other = got.find(entry);
        if (other == got.end()) {
            found.push_back(fmt::format("{}: {} should become {}, but did not change", where, entry,
                                        value.empty() ? "zero" : value));
        } else if (other->second != value) {
            found.push_back(
                fmt::format("{}: {} should be {}, is {}", where, entry, value, other->second));
        }
    }
    for (const auto& [entry, value] : got) {
        if (!expected.contains(entry)) {
            found.push_back(fmt::format("{}: {} should not change, but became {}", where, entry,
                                        value.empty() ? "zero" : value));
        }
    }
}

template <typename Number>
bool parse_number(std::string_view text, Number& number, int base = 10) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc() && end == text.data() + text.size();
}

/// Cuts the part up to `separator` off the front of `text`.
std::string_view cut(std::string_view& text, std::string_view separator) {
    const std::size_t at = text.find(separator);
    const std::string_view part = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view() : text.substr(at + separator.size());
    return part;
}

bool parse_step(std::string_view line, Step& step) {
    // NAME on IFINDEX input DIGEST
    const std::size_t input = line.rfind(" input ");
    const std::size_t on = line.rfind(" on ");
    if (input == std::string_view::npos || on == std::string_view::npos || on > input) {
        return false;
    }
    step.packet = line.substr(0, on);
    return parse_number(line.substr(on + 4, input - on - 4), step.ifindex) &&
           parse_number(line.substr(input + 7), step.input, 16);
}

bool parse_detail(std::string_view line, Step* step, MapState& initial) {
    if (step != nullptr && line.starts_with("error ")) {
        return parse_number(line.substr(6), step->error);
    }
    if (step != nullptr && line.starts_with("returns ")) {
        line.remove_prefix(8);
        const std::string_view number = cut(line, " bytes ");
        step->bytes = line;
        return parse_number(number, step->retval);
    }
    const std::string_view entry = cut(line, " = ");
    (step != nullptr ? step->changed : initial)[std::string(entry)] = line == kZero ? "" : line;
    return entry.find('[') != std::string_view::npos;
}

}  // namespace

std::string describe_change(const Bytes& before, const Bytes& after) {
    if (before.size() != after.size()) {
        return fmt::format("{}: {}", after.size(), hex(after.data(), after.size()));
    }
    std::string text;
    for (std::size_t i = 0; i < after.size();) {
        if (before[i] == after[i]) {
            ++i;
            continue;
        }
        const std::size_t start = i;
        while (i < after.size() && before[i] != after[i]) {
            ++i;
        }
        text += fmt::format("{}@{}:{}", text.empty() ? "" : " ", start,
                            hex(after.data() + start, i - start));
    }
    return text.empty() ? "=" : text;
}

Step run_step(Machine& machine, const Packet& packet, std::uint32_t ifindex, MapState& state) {
    Step step = {.packet = packet.name,
                 .ifindex = ifindex,
                 .input = digest(packet.bytes),
                 .error = 0,
                 .retval = 0,
                 .bytes = {},
                 .changed = {}};
    const Outcome outcome = machine.run(packet.bytes, ifindex);
    step.error = outcome.error;
    if (outcome.error == 0) {
        step.retval = outcome.retval;
        step.bytes = describe_change(packet.bytes, outcome.bytes);
    }
    MapState after = machine.maps();
    step.changed = changes(state, after);
    state = std::move(after);
    return step;
}

std::vector<std::string> differences(const Step& expected, const Step& got) {
    std::vector<std::string> found;
    const std::string where = fmt::format("packet '{}' on {}", expected.packet, expected.ifindex);
    if (expected.packet != got.packet || expected.ifindex != got.ifindex ||
        expected.input != got.input) {
        found.push_back(fmt::format("{}: compared with '{}' on {}, or the packet has other bytes",
                                    where, got.packet, got.ifindex));
        return found;
    }
    if (expected.error != got.error) {
        found.push_back(
            fmt::format("{}: error should be {}, is {}", where, expected.error, got.error));
    }
    if (expected.retval != got.retval) {
        found.push_back(
            fmt::format("{}: verdict should be {}, is {}", where, expected.retval, got.retval));
    }
    if (expected.bytes != got.bytes) {
        found.push_back(
            fmt::format("{}: bytes should be {}, are {}", where, expected.bytes, got.bytes));
    }
    compare_maps(where, expected.changed, got.changed, found);
    return found;
}

std::vector<std::string> differences(const MapState& expected, const MapState& got) {
    std::vector<std::string> found;
    compare_maps("maps", expected, got, found);
    return found;
}

std::string to_text(const Transcript& transcript) {
    std::string text = fmt::format("machine {}\ninitial\n", transcript.machine);
    for (const auto& [entry, value] : transcript.initial) {
        text += fmt::format("  {} = {}\n", entry, value);
    }
    for (const Step& step : transcript.steps) {
        text +=
            fmt::format("packet {} on {} input {:016x}\n", step.packet, step.ifindex, step.input);
        if (step.error != 0) {
            text += fmt::format("  error {}\n", step.error);
        } else {
            text += fmt::format("  returns {} bytes {}\n", step.retval, step.bytes);
        }
        for (const auto& [entry, value] : step.changed) {
            text += fmt::format("  {} = {}\n", entry, value.empty() ? kZero : value);
        }
    }
    return text;
}

Result<Transcript> parse_transcript(const std::string& text) {
    Transcript transcript;
    std::string_view rest = text;
    for (std::size_t number = 1; !rest.empty(); ++number) {
        std::string_view line = cut(rest, "\n");
        bool is_good = true;
        if (line.starts_with("#") || line.empty() || line == "initial") {
            continue;
        }
        if (line.starts_with("machine ")) {
            transcript.machine = line.substr(8);
        } else if (line.starts_with("packet ")) {
            is_good = parse_step(line.substr(7), transcript.steps.emplace_back());
        } else if (line.starts_with("  ")) {
            is_good = parse_detail(line.substr(2),
                                   transcript.steps.empty() ? nullptr : &transcript.steps.back(),
                                   transcript.initial);
        } else {
            is_good = false;
        }
        if (!is_good) {
            return fail(EINVAL, "transcript: line {} is not understood: {}", number, line);
        }
    }
    return transcript;
}

}  // namespace crema::test
