// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/foreign_objects.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "tests/support/machine.h"
#include "tests/support/packets.h"
#include "tests/support/transcript.h"

namespace crema::test {
namespace {

bool add_programs_of(const std::string& path, std::vector<ForeignProgram>& to) {
    bpf_object* object = bpf_object__open(path.c_str());
    if (object == nullptr) {
        return false;
    }
    const std::string file = std::filesystem::path(path).filename();
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        if (bpf_program__type(program) == BPF_PROG_TYPE_XDP) {
            to.push_back({.path = path,
                          .object = file.substr(0, file.find('.')),
                          .name = bpf_program__name(program)});
        }
    }
    bpf_object__close(object);
    return true;
}

/// The line of a message that says why: the last one that is not libbpf's or the statistics.
std::string reason_in(const std::string& message) {
    std::string reason;
    for (std::size_t at = 0; at < message.size();) {
        const std::size_t end = std::min(message.find('\n', at), message.size());
        const std::string line = message.substr(at, end - at);
        at = end + 1;
        const bool is_frame = line.empty() || line.starts_with("libbpf:") ||
                              line.starts_with("processed ") || line.starts_with("verification ") ||
                              line.starts_with("-- ") || line.starts_with("stack depth ");
        if (!is_frame) {
            reason = line;
        }
    }
    return reason.empty() ? message.substr(0, message.find('\n')) : reason;
}

std::string compare_step(const Packet& packet, const Outcome& kernel, const Outcome& crema) {
    if (kernel.error != crema.error) {
        return fmt::format("{}: the kernel's run gives errno {}, Crema's {}", packet.name,
                           kernel.error, crema.error);
    }
    if (kernel.retval != crema.retval) {
        return fmt::format("{}: verdict {}, Crema's {}", packet.name, kernel.retval, crema.retval);
    }
    if (kernel.bytes != crema.bytes) {
        return fmt::format("{}: bytes {}, Crema's {}", packet.name,
                           describe_change(packet.bytes, kernel.bytes),
                           describe_change(packet.bytes, crema.bytes));
    }
    return {};
}

std::vector<Packet> packets_to_run(std::size_t random_packets) {
    std::vector<Packet> packets = fixed_packets();
    PacketGenerator generator(0xf0e1);
    for (std::size_t i = 0; i < random_packets; ++i) {
        packets.push_back({.name = fmt::format("random packet {}", i), .bytes = generator.next()});
    }
    return packets;
}

void compare_runs(Machine& kernel, Machine& crema, std::size_t random_packets, Encounter& to) {
    std::uint32_t ifindex = 1;
    for (const Packet& packet : packets_to_run(random_packets)) {
        to.difference = compare_step(packet, kernel.run(packet.bytes, ifindex),
                                     crema.run(packet.bytes, ifindex));
        if (!to.difference.empty()) {
            return;
        }
        ++to.packets;
        ifindex = ifindex % kIfindexes + 1;
    }
    const auto found = differences(kernel.maps(), crema.maps());
    if (!found.empty()) {
        to.difference = "maps afterwards: " + found.front();
    }
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const ForeignProgram& program) {
    return out << program.path << ": " << program.name;
}

std::vector<ForeignProgram> xdp_programs_in(const std::string& path,
                                            std::vector<std::string>* unreadable) {
    std::vector<std::string> files;
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
            if (entry.path().extension() == ".o") {
                files.push_back(entry.path());
            }
        }
    } else {
        files.push_back(path);
    }
    std::sort(files.begin(), files.end());
    std::vector<ForeignProgram> programs;
    for (const std::string& file : files) {
        if (!add_programs_of(file, programs)) {
            unreadable->push_back(file);
        }
    }
    return programs;
}

Encounter meet(const ForeignProgram& program, std::size_t random_packets) {
    Encounter encounter;
    encounter.program = program;
    const auto kernel = load_into_kernel(program.path, program.name, Others::left_out);
    const auto crema = load_into_crema(program.path, program.name);
    if (!kernel) {
        encounter.kernel_error = kernel.error().code;
        encounter.kernel_reason = reason_in(kernel.error().message);
    } else {
        encounter.kernel_insns = (*kernel)->verified_insns();
    }
    if (!crema) {
        encounter.crema_error = crema.error().code;
        encounter.crema_reason = crema.error().message;
    } else {
        encounter.crema_insns = (*crema)->verified_insns();
    }
    if (kernel && crema) {
        compare_runs(**kernel, **crema, random_packets, encounter);
        encounter.meeting = encounter.difference.empty() ? Meeting::same : Meeting::differ;
    } else if (kernel) {
        encounter.meeting = Meeting::wrong_refusal;
    } else if (crema) {
        encounter.meeting = Meeting::wrong_acceptance;
    }
    return encounter;
}

std::string table_head() {
    return "| object | program | kernel | Crema | walked: kernel, Crema | packets alike | cause |\n"
           "|---|---|---|---|---|---|---|\n";
}

std::string table_line(const Encounter& e) {
    const auto verdict = [](int error) -> std::string {
        return error == 0 ? "loads" : fmt::format("refuses ({})", std::strerror(error));
    };
    std::string cause = !e.difference.empty()     ? e.difference
                        : !e.crema_reason.empty() ? e.crema_reason
                                                  : e.kernel_reason;
    std::replace(cause.begin(), cause.end(), '|', '/');
    std::replace(cause.begin(), cause.end(), '\n', ' ');
    return fmt::format("| {} | {} | {} | {} | {}, {} | {} | {} |\n", e.program.object,
                       e.program.name, verdict(e.kernel_error), verdict(e.crema_error),
                       e.kernel_insns, e.crema_insns, e.packets, cause);
}

}  // namespace crema::test
