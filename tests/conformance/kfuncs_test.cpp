// SPDX-License-Identifier: BSD-3-Clause
//
// Kernel functions, by the kernel and by us: programs that call them with arguments around every
// limit and leave results in the packet. Verdict and packet must be equal, compiled and
// interpreted.
#include <cstdint>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <ostream>
#include <string>
#include <unistd.h>
#include <vector>

#include <bpf/btf.h>

#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/kfuncs/host_types.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/kernel_kfuncs.h"
#include "tests/support/verifier_table.h"

namespace crema::test {
namespace {

constexpr std::size_t kPacketBytes = 64;
constexpr int kResultsAt = 16;  // where in the packet results go

using Packet = std::vector<std::uint8_t>;

Packet packet() {
    Packet bytes(kPacketBytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
    }
    return bytes;
}

struct Outcome {
    std::uint32_t verdict = 0;
    Packet packet;

    bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
    out << "verdict " << outcome.verdict << ", words of the packet:" << std::hex;
    for (std::size_t at = 0; at + 8 <= outcome.packet.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, outcome.packet.data() + at, sizeof(word));
        out << " " << word;
    }
    return out;
}

/// Runs `entry` on a copy of the packet in a buffer of the kernel's geometry.
template <typename Entry>
Outcome run_ours(const Entry& entry) {
    alignas(64) std::vector<std::uint8_t> buffer(ebpf::kTestRunPageBytes);
    const Packet bytes = packet();
    ebpf::XdpBuff buff{};
    buff.data_hard_start = buffer.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.data = buffer.data() + ebpf::kXdpHeadroom;
    buff.data_meta = buff.data;
    buff.data_end = buff.data + bytes.size();
    std::memcpy(buff.data, bytes.data(), bytes.size());
    const std::uint64_t r0 = entry(&buff);
    return {static_cast<std::uint32_t>(r0), Packet(buff.data, buff.data_end)};
}

class Kfuncs : public testing::Test {
  protected:
    void SetUp() override {
        if (!kernel::available()) {
            GTEST_SKIP() << "bpf(2) is not permitted here: no kernel to compare with";
        }
    }

    static void same(const Code& code, const std::string& what) {
        const ebpf::Program program = program_of(code);
        std::string log;
        const int fd = kernel::load_xdp(program, {}, &log);
        ASSERT_GE(fd, 0) << what << "\n" << log;
        const kernel::Run run = kernel::test_run(fd, packet(), 1);
        ::close(fd);
        ASSERT_EQ(run.error, 0) << what;
        const Outcome theirs{run.retval, run.packet};
        const auto proof = ebpf::verifier::verify(program, {});
        ASSERT_TRUE(proof) << what << ": " << proof.error().message;
        const auto image = ebpf::interpreter::Image::prepare(program, &*proof);
        ASSERT_TRUE(image) << what << ": " << image.error().message;
        EXPECT_EQ(run_ours([&](ebpf::XdpBuff* buff) {
                      return ebpf::interpreter::run(buff, image->get());
                  }),
                  theirs)
            << what << ", interpreted";
        if (ebpf::lowering::kHasJit) {
            const auto lowered = ebpf::lowering::lower(program, *proof);
            ASSERT_TRUE(lowered) << what << ": " << lowered.error().message;
            const auto compiled = ebpf::lowering::compile(*lowered);
            ASSERT_TRUE(compiled) << what << ": " << compiled.error().message;
            EXPECT_EQ(
                run_ours([&](ebpf::XdpBuff* buff) { return compiled->entry()(buff, nullptr); }),
                theirs)
                << what << ", compiled";
        }
    }
};

/// r`reg` = r10 + off
Code frame(int reg, int off) {
    return {mov(reg, 10), add_k(reg, off)};
}

/// packet[place, place + 8) = r7, or leaves. r6: the context.
Code keep(int place) {
    return {load(op::kW, 2, 6, 0), load(op::kW, 3, 6, 4),      mov(4, 2),
            add_k(4, place + 8),   jump(op::kJle, 4, 3, 2),    mov_k(0, 1),
            exit_insn(),           store(op::kDw, 2, place, 7)};
}

/// packet[place, place + 8) = r0
Code keep_result(int place) {
    return {mov(7, 0), keep(place)};
}

/// A bool is the lowest byte of what a compiled function leaves.
const Insn is_true = alu_k(op::kAnd, 0, 0xff);

const Code dynptr_of_frame{mov(6, 1), mov_k(2, 0), frame(3, -16),
                           call_kfunc("bpf_dynptr_from_xdp")};

/// "ptr const struct bpf_dynptr": a type by what programs and verifiers look at.
std::string text_of(const ebpf::Btf& btf, std::uint32_t type) {
    using ebpf::BtfKind;
    std::string text;
    for (auto head = btf.type(type); head; head = btf.type(type)) {
        switch (head->kind) {
            case BtfKind::pointer:
                text += "ptr ";
                break;
            case BtfKind::is_const:
                text += "const ";
                break;
            case BtfKind::type_name:
                break;
            case BtfKind::structure:
                return text + "struct " + std::string(btf.name_of(type));
            case BtfKind::enumeration:
                return text + "enum " + std::string(btf.name_of(type));
            case BtfKind::integer:
                return text + "number of " + std::to_string(head->size_or_type) + " bytes";
            default:
                return text + (type == 0 ? "nothing" : "something else");
        }
        type = btf.referenced(type);
    }
    return text;
}

std::string prototype_of(const ebpf::Btf& btf, std::uint32_t function) {
    const std::uint32_t proto = btf.referenced(function);
    std::string text = text_of(btf, btf.referenced(proto)) + " (";
    for (const ebpf::BtfParam& param : btf.params(proto)) {
        text += text_of(btf, param.type) + " " + std::string(param.name) + ", ";
    }
    return text + ")";
}

TEST_F(Kfuncs, PrototypesAreTheKernels) {
    std::ifstream file("/sys/kernel/btf/./vmlinux", std::ios::binary);
    const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.empty()) {
        GTEST_SKIP() << "this kernel shows no types";
    }
    const auto kernel = ebpf::Btf::parse(bytes);
    ASSERT_TRUE(kernel) << kernel.error().message;
    const auto ours = ebpf::kfuncs::kernel_btf();
    for (const ebpf::kfuncs::Function& function : ebpf::kfuncs::all()) {
        const std::uint32_t theirs = (*kernel)->find(ebpf::BtfKind::function, function.name);
        ASSERT_NE(theirs, 0U) << function.name;
        const auto id = static_cast<std::uint32_t>(ebpf::kfuncs::btf_id_of(function));
        EXPECT_EQ(prototype_of(*ours, id), prototype_of(**kernel, theirs)) << function.name;
        EXPECT_EQ(ours->find(ebpf::BtfKind::function, function.name), id) << function.name;
    }
}

TEST_F(Kfuncs, OthersSeeTheHostsTypesWithoutItsFunctions) {
    std::ifstream file("/sys/kernel/btf/./vmlinux", std::ios::binary);
    const std::vector<std::uint8_t> host{std::istreambuf_iterator<char>(file), {}};
    if (host.empty()) {
        GTEST_SKIP() << "this kernel shows no types";
    }
    const auto bytes = ebpf::kfuncs::with_host_types(host);
    ASSERT_TRUE(bytes) << bytes.error().message;
    btf* const types = btf__new(bytes->data(), static_cast<__u32>(bytes->size()));
    ASSERT_NE(types, nullptr);
    for (const ebpf::kfuncs::Function& function : ebpf::kfuncs::all()) {
        EXPECT_EQ(btf__find_by_name_kind(types, function.name, BTF_KIND_FUNC),
                  ebpf::kfuncs::btf_id_of(function))
            << function.name;
    }
    EXPECT_LT(btf__find_by_name_kind(types, "bpf_strlen", BTF_KIND_FUNC), 0);
    const int header = btf__find_by_name_kind(types, "iphdr", BTF_KIND_STRUCT);
    ASSERT_GT(header, 0);
    EXPECT_EQ(btf__resolve_size(types, static_cast<__u32>(header)), 20);
    const btf_type* const type = btf__type_by_id(types, static_cast<__u32>(header));
    EXPECT_STREQ(btf__name_by_offset(types, btf_members(type)[btf_vlen(type) - 1].name_off), "");
    btf__free(types);
    EXPECT_FALSE(ebpf::kfuncs::with_host_types(std::span(host).first(100)));
}

TEST_F(Kfuncs, NumbersAreCountedAsTheKernelCounts) {
    struct Range {
        std::int32_t start, end;
    };

    for (const Range& range :
         {Range{0, 0}, Range{0, 1}, Range{0, 10}, Range{5, 3}, Range{-3, 3},
          Range{INT32_MIN, INT32_MIN}, Range{INT32_MIN, INT32_MIN + 4},
          Range{INT32_MAX - 3, INT32_MAX}, Range{0, 8388609}, Range{INT32_MIN, INT32_MAX},
          Range{-1, INT32_MAX}, Range{8388600, 8388608}}) {
        // r7 = result of new, r8 = turns, r9 = sum of the numbers
        same({mov(6, 1),
              mov_k(8, 0),
              mov_k(9, 0),
              frame(1, -8),
              mov_k(2, range.start),
              mov_k(3, range.end),
              call_kfunc("bpf_iter_num_new"),
              mov(7, 0),
              frame(1, -8),
              call_kfunc("bpf_iter_num_next"),
              jump_k(op::kJeq, 0, 0, 5),
              load(op::kW, 1, 0, 0),
              alu(op::kAdd, 9, 1),
              add_k(8, 1),
              jump_k(op::kJgt, 8, 100, 1),
              go(-9),
              frame(1, -8),
              call_kfunc("bpf_iter_num_destroy"),
              keep(kResultsAt),
              mov(7, 8),
              keep(kResultsAt + 8),
              mov(7, 9),
              keep(kResultsAt + 16),
              mov_k(0, 2),
              exit_insn()},
             "numbers from " + std::to_string(range.start) + " to " + std::to_string(range.end));
    }
}

TEST_F(Kfuncs, AnUsedUpIteratorStaysSo) {
    const Code asked{frame(1, -8), call_kfunc("bpf_iter_num_next"), jump_k(op::kJeq, 0, 0, 1),
                     add_k(8, 1)};
    same(
        {mov(6, 1), mov_k(8, 0), frame(1, -8), mov_k(2, 0), mov_k(3, 1),
         call_kfunc("bpf_iter_num_new"), asked, asked, asked, frame(1, -8),
         call_kfunc("bpf_iter_num_destroy"), mov(7, 8), keep(kResultsAt), mov_k(0, 2), exit_insn()},
        "three calls of an iterator over one number");
}

TEST_F(Kfuncs, DynptrsOfFramesAreMadeWithoutFlags) {
    for (const int flags : {0, 1, -1}) {
        same({mov(6, 1), mov_k(2, flags), frame(3, -16), call_kfunc("bpf_dynptr_from_xdp"),
              keep_result(kResultsAt), frame(1, -16), call_kfunc("bpf_dynptr_size"),
              keep_result(kResultsAt + 8), frame(1, -16), call_kfunc("bpf_dynptr_is_null"), is_true,
              keep_result(kResultsAt + 16), frame(1, -16), call_kfunc("bpf_dynptr_is_rdonly"),
              is_true, keep_result(kResultsAt + 24), mov_k(0, 2), exit_insn()},
             "flags " + std::to_string(flags));
    }
}

constexpr std::int64_t kPlaces[] = {0, 1, 13, 60, 63, 64, 65, 0xffff, 0x1000000, -1};

TEST_F(Kfuncs, SlicesAreWhereTheKernelHasThem) {
    for (const char* function : {"bpf_dynptr_slice", "bpf_dynptr_slice_rdwr"}) {
        for (const std::int64_t place : kPlaces) {
            for (const int size : {0, 1, 4, 16}) {
                // What it is: 0 none, 1 in the frame; and its first byte.
                const bool reads = size > 0;
                same({dynptr_of_frame, frame(1, -16), mov_k(2, place), mov_k(3, 0), mov_k(4, size),
                      call_kfunc(function), mov_k(7, 0), jump_k(op::kJeq, 0, 0, reads ? 2 : 1),
                      reads ? Code{load(op::kB, 7, 0, 0)} : Code{}, add_k(7, 256), keep(kResultsAt),
                      mov_k(0, 2), exit_insn()},
                     std::string(function) + " at " + std::to_string(place) + " of " +
                         std::to_string(size));
            }
        }
    }
}

TEST_F(Kfuncs, WritableSlicesWriteTheFrame) {
    same({dynptr_of_frame, frame(1, -16), mov_k(2, 40), frame(3, -32), mov_k(4, 8),
          call_kfunc("bpf_dynptr_slice_rdwr"), jump_k(op::kJeq, 0, 0, 1),
          store_k(op::kDw, 0, 0, 0x11223344), mov_k(0, 2), exit_insn()},
         "eight bytes at 40");
}

TEST_F(Kfuncs, CutsHaveTheKernelsErrors) {
    for (const std::int64_t start : kPlaces) {
        for (const std::int64_t end : kPlaces) {
            same({dynptr_of_frame,
                  frame(1, -16),
                  mov_k(2, start),
                  mov_k(3, end),
                  call_kfunc("bpf_dynptr_adjust"),
                  keep_result(kResultsAt),
                  frame(1, -16),
                  call_kfunc("bpf_dynptr_size"),
                  keep_result(kResultsAt + 8),
                  frame(1, -16),
                  mov_k(2, 0),
                  mov_k(3, 0),
                  mov_k(4, 1),
                  call_kfunc("bpf_dynptr_slice"),
                  mov_k(7, 999),
                  jump_k(op::kJeq, 0, 0, 1),
                  load(op::kB, 7, 0, 0),
                  keep(kResultsAt + 16),
                  mov_k(0, 2),
                  exit_insn()},
                 "from " + std::to_string(start) + " to " + std::to_string(end));
        }
    }
}

TEST_F(Kfuncs, ClonesAreOnTheirOwn) {
    for (const int flags : {0, 1}) {  // 1: the original is null
        same({mov(6, 1),
              mov_k(2, flags),
              frame(3, -16),
              call_kfunc("bpf_dynptr_from_xdp"),
              frame(1, -16),
              frame(2, -32),
              call_kfunc("bpf_dynptr_clone"),
              keep_result(kResultsAt),
              frame(1, -32),
              mov_k(2, 10),
              mov_k(3, 20),
              call_kfunc("bpf_dynptr_adjust"),
              keep_result(kResultsAt + 8),
              frame(1, -16),
              call_kfunc("bpf_dynptr_size"),
              keep_result(kResultsAt + 16),
              frame(1, -32),
              call_kfunc("bpf_dynptr_size"),
              keep_result(kResultsAt + 24),
              mov_k(0, 2),
              exit_insn()},
             "original with flags " + std::to_string(flags));
    }
}

TEST_F(Kfuncs, CopiesAndFillsHaveTheKernelsErrors) {
    for (const std::int64_t place : kPlaces) {
        for (const std::int64_t size : {std::int64_t{0}, std::int64_t{1}, std::int64_t{4},
                                        std::int64_t{64}, std::int64_t{65}, std::int64_t{-1}}) {
            const std::string what =
                "at " + std::to_string(place) + " of " + std::to_string(size) + " bytes";
            same({dynptr_of_frame, frame(1, -16), mov_k(2, place), mov_k(3, size), mov_k(4, 0x1ab),
                  call_kfunc("bpf_dynptr_memset"), keep_result(kResultsAt), mov_k(0, 2),
                  exit_insn()},
                 "fill " + what);
            same({dynptr_of_frame, frame(1, -16), mov_k(2, place), frame(3, -16), mov_k(4, 2),
                  mov_k(5, size), call_kfunc("bpf_dynptr_copy"), keep_result(kResultsAt),
                  mov_k(0, 2), exit_insn()},
                 "copy to " + what);
            same({dynptr_of_frame, frame(1, -16), mov_k(2, 2), frame(3, -16), mov_k(4, place),
                  mov_k(5, size), call_kfunc("bpf_dynptr_copy"), keep_result(kResultsAt),
                  mov_k(0, 2), exit_insn()},
                 "copy from " + what);
        }
    }
}

TEST_F(Kfuncs, NullDynptrsGiveTheKernelsErrors) {
    const Code null_dynptr{mov(6, 1), mov_k(2, 1), frame(3, -16),
                           call_kfunc("bpf_dynptr_from_xdp")};
    for (const int size : {0, 1}) {
        same({null_dynptr,
              frame(1, -16),
              mov_k(2, 0),
              mov_k(3, size),
              mov_k(4, 1),
              call_kfunc("bpf_dynptr_memset"),
              keep_result(kResultsAt),
              frame(1, -16),
              mov_k(2, 0),
              frame(3, -16),
              mov_k(4, 0),
              mov_k(5, size),
              call_kfunc("bpf_dynptr_copy"),
              keep_result(kResultsAt + 8),
              frame(1, -16),
              mov_k(2, 0),
              mov_k(3, 0),
              call_kfunc("bpf_dynptr_adjust"),
              keep_result(kResultsAt + 16),
              frame(1, -16),
              mov_k(2, 0),
              frame(3, -32),
              mov_k(4, 1),
              call_kfunc("bpf_dynptr_slice"),
              mov_k(7, 0),
              jump_k(op::kJeq, 0, 0, 1),
              mov_k(7, 1),
              keep(kResultsAt + 24),
              mov_k(0, 2),
              exit_insn()},
             "null dynptr, " + std::to_string(size) + " bytes");
    }
}

TEST_F(Kfuncs, DynptrsKeepTheFramesOldLength) {
    // xdp_adjust_tail takes 24 bytes away, then bytes are asked for that were there before.
    for (const std::int64_t place : {0, 39, 40, 60}) {
        same({dynptr_of_frame, mov(1, 6), mov_k(2, -24), call(65), keep_result(kResultsAt),
              frame(1, -16), call_kfunc("bpf_dynptr_size"), keep_result(kResultsAt + 8),
              frame(1, -16), mov_k(2, place), mov_k(3, 0), mov_k(4, 1),
              call_kfunc("bpf_dynptr_slice"), mov_k(7, 0), jump_k(op::kJeq, 0, 0, 1), mov_k(7, 1),
              keep(kResultsAt + 16), mov_k(0, 2), exit_insn()},
             "byte " + std::to_string(place));
    }
}

TEST_F(Kfuncs, PullingDataAsksForTheFramesBytes) {
    for (const std::int64_t bytes : {0, 1, 63, 64, 65, 0xffff, -1}) {
        same({mov(6, 1), mov_k(2, bytes), call_kfunc("bpf_xdp_pull_data"), keep_result(kResultsAt),
              mov_k(0, 2), exit_insn()},
             std::to_string(bytes) + " bytes");
    }
}

TEST_F(Kfuncs, RegionsDoNothing) {
    same({call_kfunc("bpf_rcu_read_lock"), call_kfunc("bpf_preempt_disable"),
          call_kfunc("bpf_preempt_enable"), call_kfunc("bpf_rcu_read_unlock"), mov_k(0, 3),
          exit_insn()},
         "both regions");
}

}  // namespace
}  // namespace crema::test
