// SPDX-License-Identifier: BSD-3-Clause
//
// PROG_TEST_RUN of XDP programs: data and context in, verdict, data, context and time out. What is
// an error, in which order, and what is written back beside one is the kernel's.
//
// With BPF_F_TEST_XDP_LIVE_FRAMES the verdicts are carried out; what comes back is what went in.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/test_run_hook.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf {
namespace {

TestRunner& installed() {
    static TestRunner the_runner = nullptr;
    return the_runner;
}

LiveRunner& installed_live() {
    static LiveRunner the_runner = nullptr;
    return the_runner;
}

}  // namespace

void set_test_runner(TestRunner runner) {
    installed() = runner;
}

void set_live_runner(LiveRunner runner) {
    installed_live() = runner;
}

LiveRunner live_runner() {
    return installed_live();
}

TestRunner test_runner() {
    return installed();
}

}  // namespace crema::ebpf

namespace crema::ebpf::syscall {
namespace {

constexpr std::uint32_t kLiveFrames = 1U << 1;  // BPF_F_TEST_XDP_LIVE_FRAMES
constexpr std::uint32_t kLiveBatchMax = 256;
constexpr std::uint32_t kLiveBatch = 64;  // when nothing is said
// A page of the kernel's, less headroom, tail and what it notes in front of a live frame.
constexpr std::uint32_t kLiveFrameBytesMax = 4096 - kXdpHeadroom - kTailReserve - 112;
static_assert(sizeof(TestRunContext) == 24);  // struct xdp_md

/// The caller's xdp_md: shorter is zero behind, longer must be zero there. Without one, all data is
/// packet; who only asks for one gave zeros, so all data is fragments. 0 or a negative errno.
int read_context(const Call& call, TestRunContext& context) {
    const auto& test = call.attr.test;
    if (test.ctx_in == 0) {
        context.data_end = test.ctx_out == 0 ? test.data_size_in : 0;
        return 0;
    }
    const std::size_t known = std::min<std::size_t>(test.ctx_size_in, sizeof(context));
    if (test.ctx_size_in > static_cast<std::uint32_t>(getpagesize())) {
        return -E2BIG;
    }
    if (const int err = check_zero(test.ctx_in + known, test.ctx_size_in - known); err != 0) {
        return err;
    }
    return copy_in(&context, test.ctx_in, known);
}

int check_request(const Call& call, const Program& program) {
    const auto& test = call.attr.test;
    if (program.expected_attach_type == kAttachXdpDevmap ||
        program.expected_attach_type == kAttachXdpCpumap || (test.flags & ~kLiveFrames) != 0) {
        return -EINVAL;
    }
    const bool live = (test.flags & kLiveFrames) != 0;
    if (live && test.batch_size > kLiveBatchMax) {
        return -E2BIG;
    }
    return !live && test.batch_size != 0 ? -EINVAL : 0;
}

/// What the kernel looks at before it copies the data. The rest is judged by the runner.
int check_context(const Call& call, const TestRunContext& context) {
    const auto& test = call.attr.test;
    if (context.data_meta != 0 || context.data_end > test.data_size_in ||
        context.data > context.data_end) {
        return -EINVAL;
    }
    constexpr std::uint32_t kMetaMax = kXdpHeadroom - kFrameReserve;
    if (context.data % 4 != 0 || context.data > kMetaMax) {
        return -EINVAL;
    }
    return test.data_size_in - context.data < kFrameBytesMin ? -EINVAL : 0;
}

/// What else it looks at then with live frames, of which there is nothing to show afterwards.
int check_live(const Call& call, const TestRunContext& context) {
    const auto& test = call.attr.test;
    const bool with_context = test.ctx_in != 0 || test.ctx_out != 0;
    const bool fragments = context.data_end < test.data_size_in;
    return (with_context && (test.data_out != 0 || test.ctx_out != 0)) || fragments ||
                   test.data_size_in - context.data > kLiveFrameBytesMax
               ? -EINVAL
               : 0;
}

/// The result's bytes are those that were given.
Result<TestRunResult> run_live(const Call& call,
                               const LoadedProgram& program,
                               std::vector<std::uint8_t> bytes,
                               const TestRunContext& context) {
    const auto& test = call.attr.test;
    const std::uint32_t batch = test.batch_size == 0 ? kLiveBatch : test.batch_size;
    const auto spent = live_runner()(program, bytes, context, test.repeat, batch);
    if (!spent) {
        return forward_error(spent);
    }
    TestRunResult result{};
    result.bytes = std::move(bytes);
    result.duration_ns = *spent;
    result.context = context;
    return result;
}

/// What writing a part of the result came to.
struct Written {
    bool whole;  // as far as there is room
    bool cut;    // the caller has less room than there is

    /// Of a part that is not written, too, when there is too little room for it.
    [[nodiscard]] int error_if(bool fault) const { return cut ? -ENOSPC : fault ? -EFAULT : 0; }
};

/// Copies what the caller has room for.
Written write_bytes(
    std::uint64_t to, std::uint32_t room, const void* bytes, std::size_t size, bool room_counts) {
    const bool cut = room_counts && size > room;
    return {.whole = to == 0 || copy_out(to, bytes, cut ? room : size) == 0, .cut = cut};
}

int write_word(const Call& call, std::size_t at, std::uint32_t value) {
    return copy_out(call.user_attr + at, &value, sizeof value);
}

/// Bytes of the packet that lay behind its first piece when the run ended.
std::size_t fragment_bytes(const TestRunResult& result) {
    return result.bytes.size() - result.context.data_end;
}

/// Copies first piece and fragments, as far as there is room. Too little of it is taken off the
/// first piece, as in the kernel: its bytes that are missing lie where the fragments' stand.
Written write_pieces(const Call& call, const TestRunResult& result) {
    const auto& test = call.attr.test;
    const std::size_t size = result.bytes.size();
    const std::size_t fragments = fragment_bytes(result);
    const bool cut = test.data_size_out != 0 && size > test.data_size_out;
    const std::size_t linear = (cut ? test.data_size_out : size) - fragments;
    const bool whole = test.data_out == 0 ||
                       (copy_out(test.data_out, result.bytes.data(), linear) == 0 &&
                        copy_out(test.data_out + linear,
                                 result.bytes.data() + result.context.data_end, fragments) == 0);
    return {.whole = whole, .cut = cut};
}

int write_result(const Call& call, const TestRunResult& result) {
    const auto& test = call.attr.test;
    constexpr std::uint64_t kDurationMax = std::numeric_limits<std::uint32_t>::max();
    const auto duration = static_cast<std::uint32_t>(std::min(result.duration_ns, kDurationMax));
    if (test.data_out != 0 && test.data_size_out != 0 &&
        test.data_size_out < fragment_bytes(result)) {
        return -ENOSPC;
    }
    const Written data = write_pieces(call, result);
    const bool fault = !data.whole ||
                       write_word(call, offsetof(bpf_attr, test.data_size_out),
                                  static_cast<std::uint32_t>(result.bytes.size())) != 0 ||
                       write_word(call, offsetof(bpf_attr, test.retval), result.retval) != 0 ||
                       write_word(call, offsetof(bpf_attr, test.duration), duration) != 0;
    return data.error_if(fault);
}

int write_context(const Call& call, const TestRunContext& context) {
    const auto& test = call.attr.test;
    if (test.ctx_in == 0 || test.ctx_out == 0) {
        return 0;
    }
    const Written written =
        write_bytes(test.ctx_out, test.ctx_size_out, &context, sizeof context, true);
    const bool fault = !written.whole ||
                       write_word(call, offsetof(bpf_attr, test.ctx_size_out), sizeof context) != 0;
    return written.error_if(fault);
}

}  // namespace

long prog_test_run(Call& call) {
    const auto& test = call.attr.test;
    if ((test.ctx_size_in != 0) != (test.ctx_in != 0) ||
        (test.ctx_size_out != 0) != (test.ctx_out != 0)) {
        return -EINVAL;
    }
    int error = 0;
    const auto object = object_store::find(static_cast<int>(test.prog_fd), &error);
    if (object == nullptr) {
        return error;
    }
    if (std::holds_alternative<ProbeProgram>(*object)) {
        return -maps::kNotSupported;  // it has no code
    }
    const auto* held = std::get_if<ProgramObject>(object.get());
    if (held == nullptr) {
        return -EINVAL;
    }
    const LoadedProgram& program = *held->program;
    if (program.extension != nullptr) {
        return -maps::kNotSupported;
    }
    if (const int err = check_request(call, program.program); err != 0) {
        return err;
    }
    TestRunContext context{};
    if (const int err = read_context(call, context); err != 0) {
        return err;
    }
    if (const int err = check_context(call, context); err != 0) {
        return err;
    }
    const bool live = (test.flags & kLiveFrames) != 0;
    if (const int err = live ? check_live(call, context) : 0; err != 0) {
        return err;
    }
    if (test_runner() == nullptr || live_runner() == nullptr) {
        return refuse(EOPNOTSUPP, "program {}: nothing here runs programs", program.program.name);
    }
    // More than a frame with all its fragments holds; the runner says no to less than that.
    constexpr std::uint32_t kDataMax = 1U << 17;
    if (test.data_size_in > kDataMax) {
        return -ENOMEM;
    }
    std::vector<std::uint8_t> bytes(test.data_size_in);
    if (copy_in(bytes.data(), test.data_in, bytes.size()) != 0) {
        return -EFAULT;
    }
    const auto result = live ? run_live(call, program, std::move(bytes), context)
                             : test_runner()(program, bytes, context, test.repeat);
    if (!result) {
        return refuse(result.error());
    }
    if (const int err = write_result(call, *result); err != 0) {
        return err;
    }
    return write_context(call, result->context);
}

}  // namespace crema::ebpf::syscall
