// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/foreign_objects.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <memory>

#include <linux/bpf.h>

#include "tests/selftests/filled_maps.h"
#include "tests/support/packets.h"
#include "tests/support/transcript.h"
#include "tests/support/whole_object.h"

namespace crema::test {
namespace {

constexpr std::uint64_t kFillSeed = 0xf111;

/// With the maps as the object makes them, and with filled ones.
enum class Stage : std::uint8_t { as_made, filled };

constexpr Stage kStages[] = {Stage::as_made, Stage::filled};

struct Packets {
    std::vector<Packet> all;

    explicit Packets(std::size_t random_packets) : all(fixed_packets()) {
        PacketGenerator generator(0xf0e1);
        for (std::size_t i = 0; i < random_packets; ++i) {
            all.push_back({.name = fmt::format("random packet {}", i), .bytes = generator.next()});
        }
    }
};

/// What one program did in one stage.
struct Part {
    std::vector<Outcome> outcomes;  // one per packet
    MapState maps;                  // behind the last
};

/// What all programs of an object did: two parts per program, in the order of the object.
struct Record {
    std::vector<Part> parts;
    std::string refused_entries;  // of filling
};

std::string text_of(const Outcome& outcome, const Packet& packet) {
    return outcome.error != 0
               ? fmt::format("errno {}", outcome.error)
               : fmt::format("verdict {}, bytes {}", outcome.retval,
                             describe_change(packet.bytes, outcome.bytes).substr(0, 200));
}

bool alike(const Outcome& left, const Outcome& right) {
    return left.error == right.error && left.retval == right.retval && left.bytes == right.bytes;
}

/// Runs the programs named, one after the other: what one leaves in the maps the next one finds.
Record run_all(WholeObject& object,
               const std::vector<std::string>& names,
               const std::vector<MapShape>& shapes,
               const Packets& packets) {
    Record record;
    for (const Stage stage : kStages) {
        if (stage == Stage::filled) {
            record.refused_entries = fill_maps(object, shapes, kFillSeed).refused;
        }
        for (const auto& program : object.programs()) {
            if (std::find(names.begin(), names.end(), program.name) == names.end()) {
                continue;
            }
            Part part;
            std::uint32_t ifindex = 1;
            for (const Packet& packet : packets.all) {
                part.outcomes.push_back(program.machine->run(packet.bytes, ifindex));
                ifindex = ifindex % kIfindexes + 1;
            }
            part.maps = program.machine->maps();
            record.parts.push_back(std::move(part));
        }
    }
    return record;
}

/// Map of an entry "map[key]".
std::string map_of_entry(const std::string& entry) {
    return entry.substr(0, entry.find('['));
}

const std::string& value_in(const MapState& state, const std::string& entry) {
    static const std::string none;
    const auto found = state.find(entry);
    return found == state.end() ? none : found->second;
}

/// Compares what Crema did with what the kernel did. `again`: the kernel's second run, or null when
/// it is not known yet what the kernel itself varies.
class Comparison {
  public:
    Comparison(const Part& kernel,
               const Part& crema,
               const Part* again,
               const std::vector<MapShape>& shapes)
        : kernel_(kernel), crema_(crema), again_(again), shapes_(shapes) {}

    void compare(const Packets& packets, const std::string& stage, Encounter& to) {
        const bool varies = again_ != nullptr && !same_outcomes(kernel_, *again_);
        for (std::size_t i = 0; i < packets.all.size(); ++i) {
            const Outcome& wanted = kernel_.outcomes[i];
            if (alike(wanted, crema_.outcomes[i])) {
                if (wanted.error == 0) {
                    ++to.packets;
                    ++to.verdicts[wanted.retval];
                }
            } else if (varies) {
                ++to.undetermined_packets;
            } else {
                note(to, fmt::format("{}{}: the kernel's {}; Crema's {}", packets.all[i].name,
                                     stage, text_of(wanted, packets.all[i]),
                                     text_of(crema_.outcomes[i], packets.all[i])));
            }
        }
        compare_maps(stage, varies, to);
    }

    [[nodiscard]] static bool same_outcomes(const Part& left, const Part& right) {
        return std::equal(left.outcomes.begin(), left.outcomes.end(), right.outcomes.begin(),
                          right.outcomes.end(), alike);
    }

  private:
    static void note(Encounter& to, std::string difference) {
        if (to.difference.empty()) {
            to.difference = std::move(difference);
        }
    }

    /// Whether this entry is one to compare: the kernel's two runs have it alike, and it is not
    /// among those that a full LRU map throws out by an order of its own.
    [[nodiscard]] bool is_settled(const std::string& entry) const {
        if (is_full_lru(map_of_entry(entry))) {
            return false;
        }
        if (again_ == nullptr) {
            return true;
        }
        if (value_in(kernel_.maps, entry) != value_in(again_->maps, entry)) {
            return false;
        }
        if (kernel_.maps.contains(entry)) {
            return true;
        }
        // An entry that is Crema's alone: settled where the keys of its map are.
        const std::string map = map_of_entry(entry);
        return keys_of(kernel_.maps, map) == keys_of(again_->maps, map);
    }

    [[nodiscard]] bool is_full_lru(const std::string& map) const {
        const auto shape = std::find_if(shapes_.begin(), shapes_.end(),
                                        [&map](const auto& each) { return each.name == map; });
        return shape != shapes_.end() &&
               (shape->type == BPF_MAP_TYPE_LRU_HASH ||
                shape->type == BPF_MAP_TYPE_LRU_PERCPU_HASH) &&
               std::max(keys_of(kernel_.maps, map).size(), keys_of(crema_.maps, map).size()) + 1 >=
                   shape->max_entries / 2;
    }

    static std::vector<std::string> keys_of(const MapState& state, const std::string& map) {
        std::vector<std::string> keys;
        for (const auto& [entry, value] : state) {
            if (map_of_entry(entry) == map) {
                keys.push_back(entry);
            }
        }
        return keys;
    }

    void compare_maps(const std::string& stage, bool varies, Encounter& to) {
        MapState both = kernel_.maps;
        both.insert(crema_.maps.begin(), crema_.maps.end());
        for (const auto& [entry, value] : both) {
            const std::string& wanted = value_in(kernel_.maps, entry);
            const std::string& got = value_in(crema_.maps, entry);
            if (wanted == got) {
                continue;
            }
            if (varies || !is_settled(entry)) {
                ++to.undetermined_entries;
            } else {
                note(to, fmt::format("maps{}: {} is {} in the kernel, {} here", stage, entry,
                                     wanted.empty() ? "zero" : wanted.substr(0, 200),
                                     got.empty() ? "zero" : got.substr(0, 200)));
            }
        }
    }

    const Part& kernel_;
    const Part& crema_;
    const Part* again_;
    const std::vector<MapShape>& shapes_;
};

bool agree(const Record& left, const Record& right) {
    const auto same = [](const Part& one, const Part& other) {
        return Comparison::same_outcomes(one, other) && one.maps == other.maps;
    };
    return left.refused_entries == right.refused_entries &&
           std::equal(left.parts.begin(), left.parts.end(), right.parts.begin(), right.parts.end(),
                      same);
}

Meeting meeting_of(bool loads_there, bool loads_here) {
    if (loads_there) {
        return loads_here ? Meeting::same : Meeting::wrong_refusal;
    }
    return loads_here ? Meeting::wrong_acceptance : Meeting::both_refuse;
}

/// Nothing of the object loads on one side: what the other side says of each program, which may be
/// a refusal, too. Nothing on either: the object as a whole.
std::vector<Encounter> of_whole(const LoadedWhole& kernel, const LoadedWhole& crema) {
    Encounter all;
    if (!kernel) {
        all.kernel_error = kernel.error().code;
        all.kernel_reason = kernel.error().message;
    }
    if (!crema) {
        all.crema_error = crema.error().code;
        all.crema_reason = crema.error().message;
    }
    all.meeting = Meeting::both_refuse;
    if (!kernel && !crema) {
        return {all};
    }
    std::vector<Encounter> encounters;
    for (const auto& program : (kernel ? *kernel : *crema)->programs()) {
        Encounter each = all;
        each.program = program.name;
        each.section = program.section;
        (kernel ? each.kernel_error : each.crema_error) = program.error;
        (kernel ? each.kernel_reason : each.crema_reason) = program.reason;
        each.meeting = meeting_of(each.kernel_error == 0, each.crema_error == 0);
        encounters.push_back(std::move(each));
    }
    return encounters;
}

Encounter of_program(const WholeObject::Program& kernel, const WholeObject::Program* crema) {
    Encounter encounter;
    encounter.program = kernel.name;
    encounter.section = kernel.section;
    encounter.kernel_error = kernel.error;
    encounter.kernel_reason = kernel.reason;
    encounter.crema_error = crema != nullptr ? crema->error : ENOENT;
    encounter.crema_reason = crema != nullptr ? crema->reason : "no such program";
    if (kernel.machine != nullptr) {
        encounter.kernel_insns = kernel.machine->verified_insns();
    }
    if (crema != nullptr && crema->machine != nullptr) {
        encounter.crema_insns = crema->machine->verified_insns();
    }
    encounter.meeting = meeting_of(encounter.kernel_error == 0, encounter.crema_error == 0);
    return encounter;
}

const WholeObject::Program* find(const WholeObject& object, const std::string& name) {
    const auto found = std::find_if(object.programs().begin(), object.programs().end(),
                                    [&name](const auto& each) { return each.name == name; });
    return found == object.programs().end() ? nullptr : &*found;
}

/// Runs what both loaded and adds what came of it to `encounters`.
void run_both(const std::string& path,
              WholeObject& kernel,
              WholeObject& crema,
              std::size_t random_packets,
              std::vector<Encounter>& encounters) {
    std::vector<std::string> names;
    std::vector<Encounter*> of;
    for (Encounter& each : encounters) {
        if (each.meeting == Meeting::same) {
            names.push_back(each.program);
            of.push_back(&each);
        }
    }
    const Packets packets(random_packets);
    const std::vector<MapShape> shapes = kernel.map_shapes();
    const Record wanted = run_all(kernel, names, shapes, packets);
    const Record got = run_all(crema, names, shapes, packets);
    Record again;
    if (!agree(wanted, got)) {
        if (auto second = load_whole_into_kernel(path); second) {
            again = run_all(**second, names, shapes, packets);
        }
    }
    for (std::size_t i = 0; i < wanted.parts.size() && i < got.parts.size(); ++i) {
        Encounter& to = *of[i % of.size()];
        const std::string stage = i < of.size() ? "" : " with filled maps";
        Comparison comparison(wanted.parts[i], got.parts[i],
                              again.parts.empty() ? nullptr : &again.parts[i], shapes);
        comparison.compare(packets, stage, to);
    }
    for (Encounter* each : of) {
        if (wanted.refused_entries != got.refused_entries && each->difference.empty()) {
            each->difference = fmt::format("entries refused: the kernel's {}; Crema's {}",
                                           wanted.refused_entries, got.refused_entries);
        }
        each->meeting = !each->difference.empty()         ? Meeting::differ
                        : each->undetermined_packets != 0 ? Meeting::undetermined
                                                          : Meeting::same;
    }
}

}  // namespace

const char* name_of(Meeting meeting) {
    switch (meeting) {
        case Meeting::same:
            return "same";
        case Meeting::both_refuse:
            return "both refuse";
        case Meeting::wrong_refusal:
            return "refused here";
        case Meeting::wrong_acceptance:
            return "accepted here";
        case Meeting::differ:
            return "differs";
        case Meeting::undetermined:
            return "undetermined";
    }
    return "";
}

std::vector<std::string> objects_in(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
        return {path};
    }
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path, error)) {
        if (entry.path().extension() == ".o") {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

std::vector<Encounter> meet(const std::string& path, std::size_t random_packets) {
    return meet(path, path, random_packets);
}

std::vector<Encounter> meet(const std::string& for_kernel,
                            const std::string& for_crema,
                            std::size_t random_packets) {
    auto kernel = load_whole_into_kernel(for_kernel);
    auto crema = load_whole_into_crema(for_crema);
    if (!kernel || !crema) {
        return of_whole(kernel, crema);
    }
    std::vector<Encounter> encounters;
    for (const auto& program : (*kernel)->programs()) {
        encounters.push_back(of_program(program, find(**crema, program.name)));
        encounters.back().older_form = (*kernel)->has_older_form();
    }
    run_both(for_kernel, **kernel, **crema, random_packets, encounters);
    return encounters;
}

}  // namespace crema::test
