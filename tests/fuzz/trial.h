// SPDX-License-Identifier: BSD-3-Clause
//
// One program put to all judges: the kernel's verifier and ours must agree, and on every packet the
// kernel, the checked interpreter and compiled code must leave the same verdict, packet and map
// contents. What a program does to maps stays for its next packet.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/fuzz/stage.h"

namespace crema::test::fuzz {

using Packet = std::vector<std::uint8_t>;

inline constexpr int kPacketsPerProgram = 16;

/// Lengths and contents that like edges.
[[nodiscard]] std::vector<Packet> make_packets(std::uint64_t seed);

enum class Finding : std::uint8_t {
    none,              // all agree
    interpreted_only,  // all agree, but lowering does not serve the program: ENOTSUP
    refused_by_both,   // or by ours alone where there is no kernel to ask
    too_complex,       // a verifier gave up, or the run takes too long to be followed
    not_served,        // ours says so: ENOTSUP
    refused_by_ours,   // the kernel takes it
    taken_by_ours,     // the kernel refuses it
    fault,             // the checked interpreter stopped a proved program
    different,         // outcomes differ
    undefined,         // reads what it never wrote, or lets addresses decide: no finding
    kernel_fault,      // the kernel's verifier proves a wrong thing: see second_opinion.h
};

inline constexpr std::size_t kFindings = static_cast<std::size_t>(Finding::kernel_fault) + 1;

[[nodiscard]] const char* name_of(Finding finding);

/// Something is wrong with one of the judges.
[[nodiscard]] constexpr bool is_mismatch(Finding finding) {
    return finding == Finding::refused_by_ours || finding == Finding::taken_by_ours ||
           finding == Finding::fault || finding == Finding::different;
}

struct Judgement {
    Finding finding = Finding::none;
    std::string text;    // who says what, where
    std::string reason;  // of a refusal, without numbers: what a smaller program must still show
    int packets = 0;     // runs compared
};

/// What may be expected of a program.
enum class Trust : std::uint8_t {
    full,      // generated
    long_too,  // generated, and may take long to verify
    outcome,   // made smaller: it may have become a long loop; looked at no longer than worth while
    acceptance,  // damaged: also, it may compare addresses, which are negative numbers in the
                 // kernel, so that only our own outcomes are compared
};

/// Test hook: changes the program that is compiled, as a wrong lowering rule would.
using Sabotage = std::function<void(ebpf::Program&)>;

class Frame;

class Judges {
  public:
    /// with_kernel false: ours alone.
    explicit Judges(bool with_kernel, Sabotage sabotage = {});
    ~Judges();
    Judges(const Judges&) = delete;
    Judges& operator=(const Judges&) = delete;
    Judges(Judges&&) = delete;
    Judges& operator=(Judges&&) = delete;

    [[nodiscard]] const Maps& maps() const { return ours_.maps(); }

    [[nodiscard]] Judgement judge(const ebpf::Program& program,
                                  const std::vector<Packet>& packets,
                                  Trust trust = Trust::full);

  private:
    struct Outcome {
        std::vector<std::uint32_t> verdicts;
        std::vector<Packet> packets;
        Contents maps;
        std::string fault;
        bool too_long = false;  // the fault is no more than that
    };

    [[nodiscard]] Outcome run_kernel(int fd,
                                     std::uint32_t used,
                                     const std::vector<Packet>& packets);
    [[nodiscard]] Outcome run_checked(const ebpf::Program& program,
                                      const std::vector<Packet>& packets,
                                      std::uint64_t salt);
    template <typename Run>
    [[nodiscard]] Outcome run_ours(std::uint32_t used, const std::vector<Packet>& packets, Run run);
    [[nodiscard]] Judgement judge_refused_by_kernel(const ebpf::Program& program, int answer);
    [[nodiscard]] Judgement judge_runs(const ebpf::Program& program,
                                       const ebpf::verifier::Proof& proof,
                                       int kernel_fd,
                                       const std::vector<Packet>& packets);
    [[nodiscard]] bool kernel_is_wrong(const ebpf::Program& program,
                                       const std::vector<Packet>& packets);
    [[nodiscard]] bool is_defined(const ebpf::Program& program, const std::vector<Packet>& packets);
    [[nodiscard]] Judgement compare_runs(const ebpf::Program& program,
                                         const ebpf::verifier::Proof& proof,
                                         int kernel_fd,
                                         const std::vector<Packet>& packets);

    OurStage ours_;
    std::unique_ptr<OurStage> elsewhere_;  // the same at other addresses
    std::array<std::unique_ptr<Frame>, 2> frames_;
    std::size_t place_ = 0;  // of the frame in use
    std::unique_ptr<KernelStage> kernel_;
    Sabotage sabotage_;
};

}  // namespace crema::test::fuzz
