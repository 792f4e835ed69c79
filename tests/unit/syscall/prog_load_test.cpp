// SPDX-License-Identifier: BSD-3-Clause
//
// PROG_LOAD: what comes out of it, and each reason for which it refuses.
#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/kfuncs/kernel_btf.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

class ProgLoad : public testing::Test {
  protected:
    /// Loads, and returns the program, or null when it was refused.
    std::shared_ptr<const LoadedProgram> loaded(bpf_attr attr) {
        fd_.reset(static_cast<int>(call(BPF_PROG_LOAD, attr)));
        return fd_.valid() ? program_of(fd_.get()) : nullptr;
    }

    std::shared_ptr<const LoadedProgram> loaded(const std::vector<Insn>& insns) {
        return loaded(prog_attr(insns));
    }

    static std::uint64_t run(const LoadedProgram& program) {
        XdpBuff buff{};
        return program.entry()(&buff, program.self());
    }

    [[nodiscard]] std::string reason() const {
        return session_.refusal() ? session_.refusal()->message : "";
    }

    Session session_;
    UniqueFd fd_;
};

TEST_F(ProgLoad, AProvedProgramRuns) {
    const auto insns = returns(2);
    const auto program = loaded(insns);
    ASSERT_NE(program, nullptr) << reason();
    EXPECT_EQ(run(*program), 2U);
    EXPECT_GT(program->id, 0U);
    EXPECT_EQ(program->program.name, "tested");
    EXPECT_TRUE(program->program.gpl_compatible);
    EXPECT_FALSE(program->program.has_frags);
    EXPECT_EQ(program->program.expected_attach_type, kAttachXdp);
    EXPECT_GT(program->verified_insns, 0U);
    EXPECT_EQ(program->program.insns, insns);
}

TEST_F(ProgLoad, AttributesAreKept) {
    const auto insns = returns(1);
    bpf_attr attr = prog_attr(insns, "other.name_1");
    attr.prog_flags = BPF_F_XDP_HAS_FRAGS;
    attr.expected_attach_type = BPF_XDP_CPUMAP;
    attr.license = address("Proprietary");
    const auto program = loaded(attr);
    ASSERT_NE(program, nullptr) << reason();
    EXPECT_EQ(program->program.name, "other.name_1");
    EXPECT_TRUE(program->program.has_frags);
    EXPECT_EQ(program->program.expected_attach_type, kAttachXdpCpumap);
    EXPECT_FALSE(program->program.gpl_compatible);
}

TEST_F(ProgLoad, FlagsOfAlignmentAndTestsAreServed) {
    const auto insns = returns(2);
    for (const std::uint32_t flag :
         {std::uint32_t{BPF_F_ANY_ALIGNMENT}, std::uint32_t{BPF_F_TEST_RND_HI32},
          std::uint32_t{BPF_F_TEST_STATE_FREQ}, 1U << 7 /* BPF_F_TEST_REG_INVARIANTS */}) {
        bpf_attr attr = prog_attr(insns);
        attr.prog_flags = flag;
        EXPECT_NE(loaded(attr), nullptr) << flag << ": " << reason();
    }
    bpf_attr attr = prog_attr(insns);
    attr.prog_flags = BPF_F_STRICT_ALIGNMENT;
    const auto program = loaded(attr);
    ASSERT_NE(program, nullptr) << reason();
    EXPECT_TRUE(program->program.strict_alignment);
}

TEST_F(ProgLoad, ProgramsAreBoundToADevice) {
    constexpr std::uint32_t kDeviceBound = 1U << 6;  // BPF_F_XDP_DEV_BOUND_ONLY
    const kfuncs::Function* const timestamp = kfuncs::find("bpf_xdp_metadata_rx_timestamp");
    ASSERT_NE(timestamp, nullptr);
    const std::vector<Insn> insns = {
        insn(op::kAlu64 | op::kX | op::kMov, 2, 10, 0, 0), insn(op::kAlu64 | op::kAdd, 2, 0, 0, -8),
        insn(op::kJmp | op::kCall, 0, op::kPseudoKfunc, 0, kfuncs::btf_id_of(*timestamp)),
        insn(op::kJmp | op::kExit, 0, 0, 0, 0)};
    bpf_attr attr = prog_attr(insns);
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL);
    EXPECT_NE(reason().find("metadata kfuncs require device-bound program"), std::string::npos);
    attr.prog_flags = kDeviceBound;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL);  // to none
    attr.prog_ifindex = 3;
    const auto program = loaded(attr);
    ASSERT_NE(program, nullptr) << reason();
    EXPECT_EQ(program->program.bound_ifindex, 3U);
    EXPECT_EQ(static_cast<std::int32_t>(run(*program)), -EOPNOTSUPP);
}

TEST_F(ProgLoad, MapReferencesBecomeIndices) {
    const UniqueFd first(new_array(1));
    const UniqueFd second(new_array(1));
    const std::uint32_t key = 0;
    const std::uint64_t value = 0x5500000044;
    bpf_attr put{};
    put.map_fd = static_cast<std::uint32_t>(second.get());
    put.key = address(&key);
    put.value = address(&value);
    ASSERT_EQ(call(BPF_MAP_UPDATE_ELEM, put), 0);

    std::vector<Insn> insns = {insn(op::kLdImm64, 2, op::kPseudoMap, 0, first.get()),
                               insn(0, 0, 0, 0, 0)};
    const auto tail = returns_value(op::kPseudoMapValue, second.get(), 4);
    insns.insert(insns.end(), tail.begin(), tail.end());
    const auto program = loaded(insns);
    ASSERT_NE(program, nullptr) << reason();
    const Program& kept = program->program;
    ASSERT_EQ(kept.maps.size(), 2U);
    EXPECT_EQ(kept.maps[0], map_of(first.get()));
    EXPECT_EQ(kept.maps[1], map_of(second.get()));
    EXPECT_EQ(kept.insns[0].src, op::kPseudoMap);
    EXPECT_EQ(kept.insns[0].imm, 0);
    EXPECT_EQ(kept.insns[2].src, op::kPseudoMapValue);
    EXPECT_EQ(kept.insns[2].imm, 1);
    EXPECT_EQ(kept.insns[3].imm, 4);
    EXPECT_EQ(run(*program), 0x55U);
}

TEST_F(ProgLoad, ReferencesThroughFdArray) {
    const UniqueFd map(new_array(1));
    const std::array<int, 2> fds = {-1, map.get()};
    const auto insns = returns_value(op::kPseudoMapIdxValue, 1, 0);
    bpf_attr attr = prog_attr(insns);
    attr.fd_array = address(fds.data());
    const auto program = loaded(attr);
    ASSERT_NE(program, nullptr) << reason();
    EXPECT_EQ(program->program.insns[0].src, op::kPseudoMapValue);
    EXPECT_EQ(program->program.insns[0].imm, 0);
    attr.fd_array = 0;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EFAULT);
}

TEST_F(ProgLoad, BadMapReferencesAreRefusedWithTheInstruction) {
    const UniqueFd one(new_array(1, 8));
    const UniqueFd four(new_array(4, 8));
    const auto expect = [&](const std::vector<Insn>& insns, long code, const char* why) {
        EXPECT_EQ(load(insns), code) << why;
        EXPECT_NE(reason().find(why), std::string::npos) << reason();
        EXPECT_NE(reason().find("program tested: instruction 0"), std::string::npos) << reason();
    };
    expect(returns_value(op::kPseudoMapValue, 9999, 0), -EBADF, "not pointing to valid bpf_map");
    expect(returns_value(op::kPseudoMapValue, STDIN_FILENO, 0), -EINVAL, "valid bpf_map");
    expect(returns_value(op::kPseudoMapValue, one.get(), 8), -EINVAL, "outside the value");
    expect(returns_value(op::kPseudoMapValue, four.get(), 0), -EINVAL, "outside the value");
    expect(returns_value(op::kPseudoMap, one.get(), 4), -EINVAL, "unrecognized bpf_ld_imm64");
    auto cut = returns_value(op::kPseudoMap, one.get(), 0);
    cut.resize(1);
    expect(cut, -EINVAL, "invalid bpf_ld_imm64");
}

TEST_F(ProgLoad, AtMost64Maps) {
    std::vector<UniqueFd> maps;
    std::vector<Insn> insns;
    for (int i = 0; i < 65; ++i) {
        maps.emplace_back(new_array(1));
        insns.push_back(insn(op::kLdImm64, 1, op::kPseudoMap, 0, maps.back().get()));
        insns.push_back(insn(0, 0, 0, 0, 0));
    }
    const auto end = returns(1);
    insns.insert(insns.end(), end.begin(), end.end());
    EXPECT_EQ(load(insns), -E2BIG);
    insns.erase(insns.begin(), insns.begin() + 2);
    EXPECT_NE(loaded(insns), nullptr) << reason();
}

TEST_F(ProgLoad, RefusedAttributes) {
    const auto insns = returns(2);
    const auto refused = [&](auto change, long code) {
        bpf_attr attr = prog_attr(insns);
        change(attr);
        const long result = call(BPF_PROG_LOAD, attr);
        UniqueFd(static_cast<int>(result)).reset();
        EXPECT_EQ(result, code) << reason();
    };
    refused([](bpf_attr& attr) { attr.insn_cnt = 0; }, -E2BIG);
    refused([](bpf_attr& attr) { attr.insn_cnt = 1'000'001; }, -E2BIG);
    refused([](bpf_attr& attr) { attr.insns = 0; }, -EFAULT);
    refused([](bpf_attr& attr) { attr.insns = 4096; }, -EFAULT);
    refused([](bpf_attr& attr) { attr.license = 0; }, -EFAULT);
    refused([](bpf_attr& attr) { attr.prog_flags = 1U << 4 | 1U << 6; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_flags = BPF_F_SLEEPABLE; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_ifindex = 1; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.attach_btf_id = 1; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.attach_prog_fd = 1; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_name[0] = '/'; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_btf_fd = 9999; }, -EBADF);
    refused([](bpf_attr& attr) { attr.line_info_cnt = 1; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_type = BPF_PROG_TYPE_SCHED_CLS; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_type = BPF_PROG_TYPE_EXT; }, -EINVAL);
    refused([](bpf_attr& attr) { attr.prog_type = 1000; }, -EINVAL);
    EXPECT_EQ(object_store::size(), 0U);
}

TEST_F(ProgLoad, AnUnsafeProgramIsRefusedWithItsReason) {
    EXPECT_EQ(load(reads_packet_unchecked(40)), -EACCES);
    EXPECT_NE(reason().find("program tested: instruction 1"), std::string::npos) << reason();
    EXPECT_NE(reason().find("invalid access to packet"), std::string::npos) << reason();
    EXPECT_EQ(reason().find('\n'), std::string::npos) << reason();
    EXPECT_EQ(object_store::size(), 0U);
}

TEST_F(ProgLoad, AReasonNamesTheSourceLine) {
    const std::string strings("\0prog.c\0    return data[40];\0", 29);
    const UniqueFd btf(static_cast<int>(load_btf(btf_with(strings))));
    ASSERT_TRUE(btf.valid());
    const auto insns = reads_packet_unchecked(40);
    // Records longer than ours, as a later kernel's might be.
    std::array<std::uint32_t, 10> records = {0, 1, 8, 11U << 10, 0, 1, 1, 8, 12U << 10, 0};
    bpf_attr attr = prog_attr(insns);
    attr.prog_btf_fd = static_cast<std::uint32_t>(btf.get());
    attr.line_info = address(records.data());
    attr.line_info_rec_size = 20;
    attr.line_info_cnt = 2;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EACCES);
    EXPECT_NE(reason().find("prog.c:12"), std::string::npos) << reason();
    records[9] = 1;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -E2BIG) << "a field that we do not know is in use";
}

TEST_F(ProgLoad, SourceLinesAreKept) {
    const std::string strings("\0prog.c\0return 2;\0", 18);
    const UniqueFd btf(static_cast<int>(load_btf(btf_with(strings))));
    const auto insns = returns(2);
    std::array<std::uint32_t, 8> records = {0, 1, 8, (7U << 10) | 3, 1, 1, 8, 8U << 10};
    bpf_attr attr = prog_attr(insns);
    attr.prog_btf_fd = static_cast<std::uint32_t>(btf.get());
    attr.line_info = address(records.data());
    attr.line_info_rec_size = 16;
    attr.line_info_cnt = 2;
    const auto program = loaded(attr);
    ASSERT_NE(program, nullptr) << reason();
    const auto& lines = program->program.lines;
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0].line, 7U);
    EXPECT_EQ(lines[0].file, "prog.c");
    EXPECT_EQ(lines[0].text, "return 2;");
    EXPECT_EQ(lines[1].line, 8U);
    attr.line_info_cnt = 3;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "more records than instructions";
    attr.line_info_cnt = 2;
    const auto refused = [&](std::size_t at, std::uint32_t value) {
        const std::uint32_t old = std::exchange(records[at], value);
        EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "word " << at;
        records[at] = old;
    };
    refused(6, 4000);  // text outside of the strings
    refused(4, 0);     // does not ascend
    refused(4, 2);     // behind the program
    refused(0, 1);     // the function's first instruction has no line
}

TEST_F(ProgLoad, TheLogGoesToTheCaller) {
    const auto insns = reads_packet_unchecked(40);
    std::array<char, 4096> log{};
    bpf_attr attr = prog_attr(insns);
    attr.log_level = 1;
    attr.log_buf = address(log.data());
    attr.log_size = static_cast<std::uint32_t>(log.size());
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EACCES);
    EXPECT_NE(std::string(log.data()).find("invalid access to packet"), std::string::npos)
        << log.data();
}

TEST_F(ProgLoad, ALogThatDoesNotFitIsCutAndSaysSo) {
    const auto insns = reads_packet_unchecked(40);
    std::array<char, 32> log{};
    log.fill('#');
    bpf_attr attr = prog_attr(insns);
    attr.log_level = 1;
    attr.log_buf = address(log.data());
    attr.log_size = 16;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -ENOSPC);
    EXPECT_EQ(std::strlen(log.data()), 15U) << "cut and ended by NUL";
    EXPECT_EQ(log[16], '#') << "written behind the buffer";
    EXPECT_NE(reason().find("invalid access to packet"), std::string::npos);
    attr.log_buf = 4096;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EFAULT);
}

TEST_F(ProgLoad, LogRequestsMustMakeSense) {
    const auto insns = returns(2);
    std::array<char, 64> log{};
    bpf_attr attr = prog_attr(insns);
    attr.log_size = 64;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "size without buffer";
    attr.log_buf = address(log.data());
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "buffer without level";
    attr.log_level = 16;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "unknown level";
}

TEST(ProgLoadSession, ThatGoesOnJudgesEachProgram) {
    Session session(1, Session::OnRefusal::go_on);
    const UniqueFd bad(static_cast<int>(load(reads_packet_unchecked(40))));
    const UniqueFd good(static_cast<int>(load(returns(2))));
    ASSERT_TRUE(bad.valid() && good.valid());
    EXPECT_EQ(program_of(bad.get()), nullptr) << "a refused program must have no code";
    ASSERT_EQ(session.judgements().size(), 2U);

    const Judgement& refused = session.judgements()[0];
    EXPECT_EQ(refused.loaded, nullptr);
    ASSERT_TRUE(refused.refusal);
    EXPECT_EQ(refused.refusal->code, EACCES);
    EXPECT_NE(refused.log.find("invalid access to packet"), std::string::npos) << refused.log;
    EXPECT_EQ(refused.program.insns, reads_packet_unchecked(40));
    EXPECT_GT(refused.processed_insns, 0U);

    const Judgement& accepted = session.judgements()[1];
    EXPECT_EQ(accepted.loaded, program_of(good.get()));
    EXPECT_FALSE(accepted.refusal);
    EXPECT_EQ(accepted.processed_insns, 2U);
    EXPECT_GT(accepted.verify_ns, 0U);
    EXPECT_GT(accepted.compile_ns, 0U);
}

TEST_F(ProgLoad, FeatureProbesGetADescriptorAndNoCode) {
    auto insns = returns(0);
    for (const auto type : {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_KPROBE,
                            BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_CGROUP_SOCK}) {
        bpf_attr attr = prog_attr(insns, "libbpf_nametest");
        attr.prog_type = type;
        const UniqueFd fd(static_cast<int>(call(BPF_PROG_LOAD, attr)));
        EXPECT_TRUE(fd.valid()) << "type " << type;
        EXPECT_EQ(program_of(fd.get()), nullptr);
    }
    bpf_attr attr = prog_attr(insns);
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    insns.back() = move(0, 1);
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "does not end";
    const std::vector<Insn> longer(100, exit_insn());
    attr.insns = address(longer.data());
    attr.insn_cnt = 100;
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EINVAL) << "a real program of another type";
    std::vector<Insn> many(5000, move(0, 1));
    many.back() = exit_insn();
    attr.insns = address(many.data());
    attr.insn_cnt = 5000;
    EXPECT_TRUE(UniqueFd(static_cast<int>(call(BPF_PROG_LOAD, attr))).valid())
        << "is the limit 4096?";
    const auto bad = returns_value(op::kPseudoMapValue, 9999, 0);
    attr.insns = address(bad.data());
    attr.insn_cnt = static_cast<std::uint32_t>(bad.size());
    EXPECT_EQ(call(BPF_PROG_LOAD, attr), -EBADF);
    EXPECT_FALSE(session_.refusal()) << "probes are nobody's failure";
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
