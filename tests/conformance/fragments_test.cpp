// SPDX-License-Identifier: BSD-3-Clause
//
// Programs that work on frames in pieces, by the kernel and by us: rows of helper calls and kernel
// functions drawn at random, over frames and first pieces of random length. What each call answers
// goes into the verdict; verdict, bytes and context must be equal.
#include "lib/ebpf/abi/fragments.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/kernel_kfuncs.h"
#include "tests/support/rounds.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int kContext = 6;  // registers of a row of calls
constexpr int kSum = 7;
constexpr int kBuffer = -64;  // on the stack, 64 bytes
constexpr int kDynptr = -80;
constexpr int kOther = -96;

constexpr std::uint32_t kHasFrags = 1U << 5;

/// Writes rows of calls.
class Writer {
  public:
    explicit Writer(std::uint32_t seed) : dice_(seed) {}

    Code row() {
        Code code{mov(kContext, 1), mov_k(kSum, 0)};
        for (int at = kOther; at < 0; at += 8) {
            code = Code{code, store_k(op::kDw, 10, at, 0)};
        }
        const std::uint32_t calls = 1 + below(12);
        for (std::uint32_t i = 0; i < calls; ++i) {
            code = Code{code, one()};
        }
        return Code{code, mov(0, kSum), exit_insn()};
    }

    std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(dice_() % end); }

  private:
    /// Mostly small, sometimes about a page, sometimes anything.
    std::int64_t distance() {
        switch (below(6)) {
            case 0:
                return below(16);
            case 1:
                return 4096 + std::int64_t{below(5)} - 2;
            case 2:
                return 3520 + std::int64_t{below(5)} - 2;
            case 3:
                return below(12000);
            default:
                return below(300);
        }
    }

    Code add_result() { return {alu_k(op::kMul, kSum, 31), alu(op::kAdd, kSum, 0)}; }

    Code add_buffer() {
        Code code;
        for (int at = kBuffer; at < 0; at += 8) {
            code = Code{code, load(op::kDw, 1, 10, at), alu_k(op::kMul, kSum, 7),
                        alu(op::kAdd, kSum, 1)};
        }
        return code;
    }

    static Code stack_address(int reg, int at) { return {mov(reg, 10), add_k(reg, at)}; }

    Code adjust() {
        const int helper = below(4) == 0 ? 54 : below(3) == 0 ? 44 : 65;
        const std::int64_t off = helper == 54 ? 4 * std::int64_t{below(60)} : distance();
        return {mov(1, kContext), mov_k(2, below(3) == 0 ? off : -off), call(helper), add_result()};
    }

    Code bytes() {
        const bool loads = below(2) == 0;
        return {mov(1, kContext),
                mov_k(2, distance()),
                stack_address(3, kBuffer),
                mov_k(4, 1 + below(64)),
                call(loads ? 189 : 190),
                add_result(),
                loads ? add_buffer() : Code{}};
    }

    Code lengths() {
        return {mov(1, kContext),
                call(188),
                add_result(),
                load(op::kW, 1, kContext, 0),
                load(op::kW, 0, kContext, 4),
                alu(op::kSub, 0, 1),
                add_result(),
                load(op::kW, 0, kContext, 0),
                load(op::kW, 1, kContext, 8),
                alu(op::kSub, 0, 1),
                add_result()};
    }

    /// A kernel function's int: 32 bits of it mean something.
    Code add_int() { return {alu32(op::kMov, 0, 0), add_result()}; }

    Code pull() {
        return {mov(1, kContext), mov_k(2, distance()), call_kfunc("bpf_xdp_pull_data"), add_int()};
    }

    Code dynptr() {
        Code code{mov(1, kContext), mov_k(2, 0), stack_address(3, kDynptr),
                  call_kfunc("bpf_dynptr_from_xdp"), add_int()};
        const std::int64_t offset = distance();
        const auto size = static_cast<std::int64_t>(1 + below(64));
        switch (below(6)) {
            case 0:  // read
                return {code,
                        stack_address(1, kBuffer),
                        mov_k(2, size),
                        stack_address(3, kDynptr),
                        mov_k(4, offset),
                        mov_k(5, 0),
                        call(201),
                        add_result(),
                        add_buffer()};
            case 1:  // write
                return {code,
                        stack_address(1, kDynptr),
                        mov_k(2, offset),
                        stack_address(3, kBuffer),
                        mov_k(4, size),
                        mov_k(5, 0),
                        call(202),
                        add_result()};
            case 2:
                return {code,
                        stack_address(1, kDynptr),
                        mov_k(2, offset),
                        mov_k(3, distance()),
                        mov_k(4, below(256)),
                        call_kfunc("bpf_dynptr_memset"),
                        add_int()};
            case 3: {
                // Ranges that overlap are the kernel's memcpy() to undo.
                const std::int64_t to = distance();
                const std::int64_t apart = std::abs(to - offset);
                return {code,
                        stack_address(1, kDynptr),
                        mov_k(2, to),
                        stack_address(3, kDynptr),
                        mov_k(4, offset),
                        mov_k(5, std::min(apart, distance())),
                        call_kfunc("bpf_dynptr_copy"),
                        add_int()};
            }
            case 4:
                return {code, stack_address(1, kDynptr), call_kfunc("bpf_dynptr_size"), add_int()};
            default:
                return {code, slice(offset)};
        }
    }

    /// First and last byte of a slice, or that there is none.
    Code slice(std::int64_t offset) {
        constexpr std::int64_t kBytes = 32;
        const Code first{stack_address(1, kDynptr), mov_k(2, offset)};
        const Code buffer = below(3) == 0 ? Code{mov_k(3, 0)} : stack_address(3, kBuffer);
        return {first,
                buffer,
                mov_k(4, kBytes),
                call_kfunc("bpf_dynptr_slice"),
                alu_k(op::kMul, kSum, 5),
                jump_k(op::kJeq, 0, 0, 4),
                load(op::kB, 1, 0, 0),
                alu(op::kAdd, kSum, 1),
                load(op::kB, 1, 0, kBytes - 1),
                alu(op::kAdd, kSum, 1)};
    }

    Code one() {
        switch (below(6)) {
            case 0:
                return bytes();
            case 1:
                return lengths();
            case 2:
                return pull();
            case 3:
                return dynptr();
            default:
                return adjust();
        }
    }

    std::mt19937 dice_;
};

Bytes row_of(std::size_t bytes) {
    Bytes all(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        all[i] = static_cast<std::uint8_t>(i * 7 + i / 251 + 1);
    }
    return all;
}

std::shared_ptr<const ebpf::LoadedProgram> load_here(const ebpf::Program& program) {
    const ebpf::syscall::Session session;
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = BPF_XDP;
    attr.prog_flags = kHasFrags;
    attr.insns = reinterpret_cast<std::uint64_t>(program.insns.data());
    attr.insn_cnt = static_cast<std::uint32_t>(program.insns.size());
    attr.license = reinterpret_cast<std::uint64_t>("GPL");
    const UniqueFd fd(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof attr)));
    EXPECT_TRUE(fd.valid()) << session.refusal()->message;
    return fd.valid() ? ebpf::syscall::program_of(fd.get()) : nullptr;
}

class Fragments : public WithKernel {
  protected:
    struct Shape {
        std::uint32_t bytes;
        std::uint32_t meta;
        std::uint32_t linear;  // metadata included
    };

    /// Returns whether the run took place.
    static bool same(const ebpf::LoadedProgram& ours, int theirs, const Shape& shape) {
        const Bytes bytes = row_of(shape.meta + shape.bytes);
        kernel::Context context{.data = shape.meta, .data_end = shape.linear};
        const kernel::Run expected = kernel::test_run(theirs, bytes, context);
        const auto run = xdp::test_run(ours, bytes,
                                       {.data = shape.meta,
                                        .data_end = shape.linear,
                                        .data_meta = 0,
                                        .ingress_ifindex = 0,
                                        .rx_queue_index = 0,
                                        .egress_ifindex = 0},
                                       1);
        EXPECT_EQ(run ? 0 : -run.error().code, expected.error);
        if (!run) {
            return false;
        }
        EXPECT_EQ(run->retval, expected.retval);
        EXPECT_EQ(run->bytes.size(), expected.packet.size());
        const auto differ = std::mismatch(run->bytes.begin(), run->bytes.end(),
                                          expected.packet.begin(), expected.packet.end());
        EXPECT_EQ(differ.first - run->bytes.begin(), std::ssize(run->bytes))
            << "first byte that differs";
        EXPECT_EQ(run->context.data, context.data);
        EXPECT_EQ(run->context.data_end, context.data_end);
        return true;
    }
};

TEST_F(Fragments, RandomRowsOfCallsDoWhatTheyDoInTheKernel) {
    const std::uint64_t programs = scaled_rounds(3000);
    std::uint64_t runs = 0;
    for (std::uint64_t i = 0; i < programs && !HasFailure(); ++i) {
        const std::uint64_t seed = first_seed() + i;
        Writer writer(static_cast<std::uint32_t>(seed));
        ebpf::Program program = program_of(writer.row());
        program.has_frags = true;
        std::string log;
        const UniqueFd theirs(kernel::load_xdp(program, {}, &log));
        ASSERT_TRUE(theirs.valid()) << "seed " << seed << "\n" << log;
        const auto ours = load_here(program);
        ASSERT_NE(ours, nullptr) << "seed " << seed;
        for (int run = 0; run < 12 && !HasFailure(); ++run) {
            Shape shape{};
            shape.bytes = 14 + writer.below(writer.below(3) == 0 ? 20000 : 9200);
            shape.meta = writer.below(3) == 0 ? 4 * writer.below(55) : 0;
            const std::uint32_t linear = writer.below(4) == 0   ? writer.below(200)
                                         : writer.below(3) == 0 ? writer.below(4000)
                                                                : UINT32_MAX;
            shape.linear = shape.meta + std::min(linear, shape.bytes);
            SCOPED_TRACE(fmt::format("seed {}, {} bytes, {} of metadata, data_end {}", seed,
                                     shape.bytes, shape.meta, shape.linear));
            runs += same(*ours, theirs.get(), shape) ? 1 : 0;
        }
    }
    EXPECT_GT(runs, programs * 6);
}

/// What BPF_PROG_TEST_RUN leaves behind when there is room for so much.
struct Written {
    long result = 0;
    std::uint32_t size = 0;
    std::uint32_t retval = 0;
    Bytes room;

    bool operator==(const Written&) const = default;
};

template <typename Bpf>
Written run_into(int program, const Bytes& packet, std::uint32_t room, Bpf bpf) {
    Written written;
    written.room.assign(packet.size() + 64, 0xee);
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<std::uint32_t>(program);
    attr.test.data_in = reinterpret_cast<std::uint64_t>(packet.data());
    attr.test.data_size_in = static_cast<std::uint32_t>(packet.size());
    attr.test.data_out = reinterpret_cast<std::uint64_t>(written.room.data());
    attr.test.data_size_out = room;
    attr.test.retval = 77;
    written.result = bpf(attr);
    written.size = attr.test.data_size_out;
    written.retval = attr.test.retval;
    return written;
}

TEST_F(Fragments, TooLittleRoomForTheResultIsSaidAsInTheKernel) {
    const ebpf::Program program = program_of({mov_k(0, 2), exit_insn()});
    std::string log;
    const UniqueFd theirs(kernel::load_xdp(program, {}, &log));
    ASSERT_TRUE(theirs.valid()) << log;
    const ebpf::syscall::Session session;
    bpf_attr load{};
    load.prog_type = BPF_PROG_TYPE_XDP;
    load.expected_attach_type = BPF_XDP;
    load.insns = reinterpret_cast<std::uint64_t>(program.insns.data());
    load.insn_cnt = static_cast<std::uint32_t>(program.insns.size());
    load.license = reinterpret_cast<std::uint64_t>("GPL");
    const UniqueFd ours(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &load, sizeof load)));
    ASSERT_TRUE(ours.valid());
    for (const std::uint32_t bytes : {100U, 5000U, 12000U}) {
        for (const std::uint32_t room :
             {0U, 1U, 99U, 100U, 1000U, 1479U, 1480U, 1481U, 3520U, 4000U, 4999U, 5000U, 5001U,
              8479U, 8480U, 8481U, 11999U, 12000U}) {
            const Bytes packet = row_of(bytes);
            const Written expected = run_into(theirs.get(), packet, room, [](bpf_attr& attr) {
                const long result = ::syscall(__NR_bpf, BPF_PROG_TEST_RUN, &attr, sizeof attr);
                return result < 0 ? -long{errno} : result;
            });
            const Written got = run_into(ours.get(), packet, room, [](bpf_attr& attr) {
                return ebpf::syscall::serve(BPF_PROG_TEST_RUN, &attr, sizeof attr);
            });
            EXPECT_EQ(got.result, expected.result) << bytes << " into " << room;
            EXPECT_EQ(got.size, expected.size) << bytes << " into " << room;
            EXPECT_EQ(got.retval, expected.retval) << bytes << " into " << room;
            EXPECT_TRUE(got.room == expected.room) << bytes << " into " << room;
        }
    }
}

}  // namespace
}  // namespace crema::test
