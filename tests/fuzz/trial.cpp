// SPDX-License-Identifier: BSD-3-Clause
//
// See trial.h.
#include "tests/fuzz/trial.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/fuzz/dice.h"
#include "tests/fuzz/function_types.h"
#include "tests/fuzz/second_opinion.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test::fuzz {

/// A test run's page: nothing outside of the packet is anything but zero.
class Frame {
  public:
    /// shift: of the page, a multiple of 64.
    Frame(std::uint32_t cpu, std::size_t shift)
        : shift_(shift), page_(ebpf::kTestRunPageBytes + kAlignment + shift), cpu_(cpu) {}

    ebpf::XdpBuff& hold(const Packet& packet) {
        const auto start = reinterpret_cast<std::uintptr_t>(page_.data());
        std::uint8_t* const page = page_.data() + (kAlignment - start % kAlignment) + shift_;
        std::memset(page, 0, ebpf::kTestRunPageBytes);
        buff_ = {};
        buff_.data_hard_start = page;
        buff_.frame_sz = ebpf::kTestRunPageBytes;
        buff_.data = buff_.data_meta = page + ebpf::kXdpHeadroom;
        buff_.data_end = buff_.data + packet.size();
        buff_.ingress_ifindex = 1;  // a test run's: the loopback device
        buff_.cpu = cpu_;
        std::copy(packet.begin(), packet.end(), buff_.data);
        return buff_;
    }

    [[nodiscard]] const ebpf::XdpBuff& buff() const { return buff_; }

    [[nodiscard]] Packet packet() const { return {buff_.data_meta, buff_.data_end}; }

  private:
    static constexpr std::size_t kAlignment = 4096;
    ebpf::XdpBuff buff_{};
    std::size_t shift_;
    std::vector<std::uint8_t> page_;
    std::uint32_t cpu_;
};

namespace {

constexpr std::uint64_t kInsnsMax = 4'000'000;  // of one checked run
// What our verifier looks at before a program is left out. The kernel spends seconds on some that
// take long here, too: without a bound one program in a thousand costs more than all the others.
// Every 64th generated program may be long.
constexpr std::uint64_t kInsnsOfLong = 50'000, kInsnsOfWhole = 3'000, kInsnsOfDamaged = 1'000;

/// The last line of a log or message that says something, without numbers.
std::string reason_of(const std::string& text) {
    std::string reason;
    for (const char letter : text) {
        if (letter < '0' || letter > '9') {
            reason.push_back(letter);
        }
    }
    return reason;
}

std::uint64_t insns_max_of(Trust trust) {
    switch (trust) {
        case Trust::full:
            return kInsnsOfWhole;
        case Trust::long_too:
            return kInsnsOfLong;
        case Trust::outcome:
        case Trust::acceptance:
            break;
    }
    return kInsnsOfDamaged;
}

/// What our refusal means beside the kernel's answer, a descriptor or a negative errno.
Judgement judge_refused(const Error& refusal, int answer) {
    const std::string& message = refusal.message;
    return {.finding = refusal.code == ENOTSUP ? Finding::not_served
                       : answer >= 0           ? Finding::refused_by_ours
                       : answer == -E2BIG      ? Finding::too_complex
                                               : Finding::refused_by_both,
            .text = message,
            .reason = reason_of(message.substr(message.find(": ") + 1)),
            .packets = 0};
}

std::string last_line(std::string log) {
    while (!log.empty() && (log.back() == '\n' || log.back() == '\0')) {
        log.pop_back();
    }
    const std::size_t statistics = log.rfind("\nprocessed ");
    if (statistics != std::string::npos) {
        log.resize(statistics);
    }
    const std::size_t end = log.rfind('\n');
    return end == std::string::npos ? log : log.substr(end + 1);
}

bool is_too_complex(const std::string& log) {
    return log.find("too large") != std::string::npos ||
           log.find("too complex") != std::string::npos ||
           log.find("infinite loop") != std::string::npos ||
           log.find("verifier bug") != std::string::npos;  // its own words, with EFAULT
}

std::string hex_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
    if (a.size() != b.size()) {
        return fmt::format("{} bytes, {} bytes", a.size(), b.size());
    }
    const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin());
    return fmt::format("byte {}: {:#04x}, {:#04x}", at - a.begin(), *at, *other);
}

}  // namespace

const char* name_of(Finding finding) {
    switch (finding) {
        case Finding::none:
            return "equal";
        case Finding::interpreted_only:
            return "interpreted only";
        case Finding::refused_by_both:
            return "refused by both";
        case Finding::too_complex:
            return "given up";
        case Finding::not_served:
            return "not served";
        case Finding::refused_by_ours:
            return "refused by ours alone";
        case Finding::taken_by_ours:
            return "taken by ours alone";
        case Finding::fault:
            return "fault";
        case Finding::different:
            return "different";
        case Finding::kernel_fault:
            return "fault of the kernel";
        default:
            return "undefined";
    }
}

std::vector<Packet> make_packets(std::uint64_t seed) {
    static constexpr int kLengths[] = {14, 15, 16, 20, 33, 34,  42,  54,  60,
                                       63, 64, 65, 66, 96, 128, 200, 300, 1514};
    Dice dice(~seed);
    std::vector<Packet> packets;
    for (int i = 0; i < kPacketsPerProgram; ++i) {
        const int bytes = dice.one_in(3) ? dice.between(14, 200) : dice.pick(kLengths);
        Packet packet(static_cast<std::size_t>(bytes));
        const int filled = std::min(bytes, 304);  // what programs look at; the rest is zero
        for (int at = 0; at < filled; at += 8) {
            const std::uint64_t number = dice.number();
            std::memcpy(packet.data() + at, &number,
                        static_cast<std::size_t>(std::min(8, filled - at)));
        }
        packets.push_back(std::move(packet));
    }
    return packets;
}

Judges::Judges(bool with_kernel, Sabotage sabotage)
    : ours_(stay_on_this_cpu()),
      frames_{std::make_unique<Frame>(ours_.cpu(), 0), std::make_unique<Frame>(ours_.cpu(), 0x740)},
      sabotage_(std::move(sabotage)) {
    if (with_kernel) {
        kernel_ = std::make_unique<KernelStage>(ours_);
    }
}

Judges::~Judges() = default;

template <typename Run>
Judges::Outcome Judges::run_ours(std::uint32_t used, const std::vector<Packet>& packets, Run run) {
    Outcome outcome;
    Frame& frame = *frames_[place_];
    const ebpf::RunScope scope(frame.buff());
    ours_.reset(used);
    for (const Packet& packet : packets) {
        outcome.verdicts.push_back(static_cast<std::uint32_t>(run(frame.hold(packet), outcome)));
        outcome.packets.push_back(frame.packet());
        if (!outcome.fault.empty()) {
            break;
        }
    }
    outcome.maps = ours_.contents(used);
    return outcome;
}

Judges::Outcome Judges::run_checked(const ebpf::Program& program,
                                    const std::vector<Packet>& packets,
                                    std::uint64_t salt) {
    ebpf::Program interpreted = program;
    interpreted.maps = ours_.maps_for_interpreter();
    const auto image = ebpf::interpreter::Image::prepare(interpreted, nullptr);
    if (!image) {
        Outcome outcome;
        outcome.fault = image.error().message;
        return outcome;
    }
    const ebpf::interpreter::CheckedOptions options{
        .insns_max = kInsnsMax, .salt = salt, .observer = {}};
    return run_ours(maps_used(program), packets, [&](ebpf::XdpBuff& buff, Outcome& outcome) {
        const auto run = ebpf::interpreter::run_checked(**image, buff, options);
        if (run.fault) {
            outcome.too_long = run.fault->out_of_budget;
            outcome.fault = fmt::format("instruction {}: {}", run.fault->slot, run.fault->what);
        }
        return run.r0;
    });
}

Judges::Outcome Judges::run_kernel(int fd, std::uint32_t used, const std::vector<Packet>& packets) {
    Outcome outcome;
    kernel_->reset(used);
    for (const Packet& packet : packets) {
        kernel::Run run = kernel::test_run(fd, packet, 1);
        if (run.error != 0) {
            outcome.fault = fmt::format("test run: error {}", run.error);
            break;
        }
        outcome.verdicts.push_back(run.retval);
        outcome.packets.push_back(std::move(run.packet));
    }
    outcome.maps = kernel_->contents(used);
    return outcome;
}

/// Does the outcome depend on nothing but packets and maps? Runs it three times: with zeros and
/// with two kinds of poison where nothing was written, once with everything at other addresses.
bool Judges::is_defined(const ebpf::Program& program, const std::vector<Packet>& packets) {
    if (elsewhere_ == nullptr) {
        elsewhere_ = std::make_unique<OurStage>(ours_.cpu());
    }
    const Outcome zeros = run_checked(program, packets, 0);
    const Outcome here = run_checked(program, packets, 1);
    std::swap(ours_, *elsewhere_);
    place_ = 1;
    // Moves the frames of the program, which lie on this thread's stack.
    volatile std::uint8_t* const room = static_cast<std::uint8_t*>(__builtin_alloca(0x2aa8));
    room[0] = 1;
    const Outcome there = run_checked(program, packets, 0x1234567);
    place_ = 0;
    std::swap(ours_, *elsewhere_);
    const auto same = [&here](const Outcome& other) {
        return here.verdicts == other.verdicts && here.packets == other.packets &&
               here.maps == other.maps && here.fault.empty() == other.fault.empty();
    };
    return same(zeros) && same(there);
}

/// Does the kernel agree with the checked interpreter when its verifier sees less?
bool Judges::kernel_is_wrong(const ebpf::Program& program, const std::vector<Packet>& packets) {
    ebpf::Program opaque = with_opaque_atomics(program);
    if (opaque.insns == program.insns) {
        return false;
    }
    add_function_types(opaque);
    const int fd = kernel::load_xdp(opaque, kernel_->fds(), nullptr);
    if (fd < 0) {
        return false;
    }
    const Outcome kernel = run_kernel(fd, maps_used(opaque), packets);
    ::close(fd);
    const Outcome checked = run_checked(program, packets, 1);
    return kernel.fault.empty() && checked.fault.empty() && kernel.verdicts == checked.verdicts &&
           kernel.packets == checked.packets && kernel.maps == checked.maps;
}

Judgement Judges::compare_runs(const ebpf::Program& program,
                               const ebpf::verifier::Proof& proof,
                               int kernel_fd,
                               const std::vector<Packet>& packets) {
    const std::uint32_t used = maps_used(program);
    const Outcome checked = run_checked(program, packets, 1);
    if (!checked.fault.empty()) {
        return {.finding = checked.too_long ? Finding::too_complex : Finding::fault,
                .text = fmt::format("packet {}: {}", checked.verdicts.size() - 1, checked.fault),
                .reason = reason_of(checked.fault),
                .packets = 0};
    }
    const auto differ = [&](const char* who, const Outcome& other) -> Judgement {
        const auto found = [&](std::string text) -> Judgement {
            return {.finding = Finding::different,
                    .text = fmt::format("checked interpreter, {}: {}", who, text),
                    .reason = who,
                    .packets = 0};
        };
        if (!other.fault.empty()) {
            return found(other.fault);
        }
        for (std::size_t i = 0; i < packets.size(); ++i) {
            if (checked.verdicts[i] != other.verdicts[i]) {
                return found(fmt::format("packet {}: r0 {:#x}, {:#x}", i, checked.verdicts[i],
                                         other.verdicts[i]));
            }
            if (checked.packets[i] != other.packets[i]) {
                return found(fmt::format("packet {}: {}", i,
                                         hex_difference(checked.packets[i], other.packets[i])));
            }
        }
        if (checked.maps != other.maps) {
            return found(fmt::format("maps: {}", hex_difference(checked.maps, other.maps)));
        }
        return {};
    };
    if (kernel_fd >= 0) {
        Judgement judgement = differ("kernel", run_kernel(kernel_fd, used, packets));
        if (judgement.finding != Finding::none) {
            return judgement;
        }
    }
    ebpf::Program compiled = program;
    if (sabotage_) {
        sabotage_(compiled);
    }
    auto lowered = ebpf::lowering::lower(compiled, proof);
    if (!lowered) {
        const bool known = lowered.error().code == ENOTSUP;
        return {.finding = known ? Finding::interpreted_only : Finding::refused_by_ours,
                .text = lowered.error().message,
                .reason = reason_of(lowered.error().message),
                .packets = known ? static_cast<int>(packets.size()) : 0};
    }
    auto code = ebpf::lowering::compile(*lowered);
    if (!code) {
        return {.finding = Finding::refused_by_ours,
                .text = code.error().message,
                .reason = reason_of(code.error().message),
                .packets = 0};
    }
    Judgement judgement =
        differ("compiled code", run_ours(used, packets, [&](ebpf::XdpBuff& buff, Outcome&) {
                   return code->entry()(&buff, nullptr);
               }));
    judgement.packets = static_cast<int>(packets.size());
    return judgement;
}

Judgement Judges::judge(const ebpf::Program& untyped,
                        const std::vector<Packet>& packets,
                        Trust trust) {
    ebpf::Program program = untyped;
    add_function_types(program);
    ebpf::verifier::Options options;
    options.insns_max = insns_max_of(trust);
    const auto proof = ebpf::verifier::verify(program, options);
    if (!proof && proof.error().code == E2BIG) {
        return {.finding = Finding::too_complex,
                .text = proof.error().message,
                .reason = {},
                .packets = 0};
    }
    // The log costs more than the judgement: only for what needs it.
    const int answer = kernel_ != nullptr ? kernel::load_xdp(program, kernel_->fds(), nullptr) : -1;
    const UniqueFd fd(answer >= 0 ? answer : -1);
    if (!proof) {
        return judge_refused(proof.error(), answer);
    }
    if (kernel_ != nullptr && answer < 0) {
        return judge_refused_by_kernel(program, answer);
    }
    return judge_runs(program, *proof, trust == Trust::acceptance ? -1 : fd.get(), packets);
}

Judgement Judges::judge_refused_by_kernel(const ebpf::Program& program, int answer) {
    if (answer == -E2BIG) {  // no log: it would be as long as the look was
        return {.finding = Finding::too_complex, .text = {}, .reason = {}, .packets = 0};
    }
    std::string log;
    static_cast<void>(kernel::load_xdp(program, kernel_->fds(), &log));
    return {.finding = is_too_complex(log) ? Finding::too_complex : Finding::taken_by_ours,
            .text = fmt::format("kernel: {}", last_line(log)),
            .reason = reason_of(last_line(log)),
            .packets = 0};
}

Judgement Judges::judge_runs(const ebpf::Program& program,
                             const ebpf::verifier::Proof& proof,
                             int kernel_fd,
                             const std::vector<Packet>& packets) {
    Judgement judgement = compare_runs(program, proof, kernel_fd, packets);
    if (judgement.finding != Finding::different) {
        return judgement;
    }
    if (!is_defined(program, packets)) {
        judgement.finding = Finding::undefined;
    } else if (kernel_ != nullptr && kernel_is_wrong(program, packets)) {
        // Ours must agree with each other all the same.
        Judgement ours = compare_runs(program, proof, -1, packets);
        if (ours.finding != Finding::none) {
            return ours;
        }
        judgement.finding = Finding::kernel_fault;
    }
    return judgement;
}

}  // namespace crema::test::fuzz
