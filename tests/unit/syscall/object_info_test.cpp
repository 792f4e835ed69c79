// SPDX-License-Identifier: BSD-3-Clause
//
// OBJ_GET_INFO_BY_FD, BTF_LOAD and PROG_BIND_MAP.
#include <algorithm>
#include <array>
#include <cerrno>
#include <gtest/gtest.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

class ObjectInfo : public testing::Test {
  protected:
    template <typename Info>
    static long info_of(int fd, Info& info, std::uint32_t* bytes = nullptr) {
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<std::uint32_t>(fd);
        attr.info.info = address(&info);
        attr.info.info_len = bytes != nullptr ? *bytes : sizeof(info);
        const long result = call(BPF_OBJ_GET_INFO_BY_FD, attr);
        if (bytes != nullptr) {
            *bytes = attr.info.info_len;
        }
        return result;
    }

    static long bind(int program, int map) {
        bpf_attr attr{};
        attr.prog_bind_map.prog_fd = static_cast<std::uint32_t>(program);
        attr.prog_bind_map.map_fd = static_cast<std::uint32_t>(map);
        return call(BPF_PROG_BIND_MAP, attr);
    }

    Session session_;
};

TEST_F(ObjectInfo, OfAMap) {
    const UniqueFd btf(static_cast<int>(load_btf(btf_with(std::string(1, '\0')))));
    bpf_attr attr = array_attr(5, 4);
    attr.map_flags = BPF_F_RDONLY_PROG;
    attr.btf_fd = static_cast<std::uint32_t>(btf.get());
    attr.btf_key_type_id = 1;
    attr.btf_value_type_id = 1;
    const UniqueFd fd(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    bpf_map_info info{};
    ASSERT_EQ(info_of(fd.get(), info), 0);
    EXPECT_EQ(info.type, BPF_MAP_TYPE_ARRAY);
    EXPECT_EQ(info.id, map_of(fd.get())->id());
    EXPECT_EQ(info.key_size, 4U);
    EXPECT_EQ(info.value_size, 4U);
    EXPECT_EQ(info.max_entries, 5U);
    EXPECT_EQ(info.map_flags, BPF_F_RDONLY_PROG);
    EXPECT_STREQ(info.name, "numbers");
    EXPECT_EQ(info.btf_key_type_id, 1U);
    EXPECT_EQ(info.btf_value_type_id, 1U);
    bpf_btf_info btf_info{};
    ASSERT_EQ(info_of(btf.get(), btf_info), 0);
    EXPECT_EQ(info.btf_id, btf_info.id);
    EXPECT_GT(info.btf_id, 0U);
}

TEST_F(ObjectInfo, OfAProgramWithItsMaps) {
    const UniqueFd used(new_array(1));
    const UniqueFd bound(new_array(1));
    const auto insns = returns_value(op::kPseudoMapValue, used.get(), 0);
    const UniqueFd fd(static_cast<int>(load(insns)));
    ASSERT_TRUE(fd.valid()) << session_.refusal()->message;
    EXPECT_EQ(bind(fd.get(), bound.get()), 0);
    EXPECT_EQ(bind(fd.get(), bound.get()), 0);
    EXPECT_EQ(bind(fd.get(), used.get()), 0);

    std::array<std::uint32_t, 4> ids{};
    bpf_prog_info info{};
    info.nr_map_ids = ids.size();
    info.map_ids = address(ids.data());
    ASSERT_EQ(info_of(fd.get(), info), 0);
    EXPECT_EQ(info.type, BPF_PROG_TYPE_XDP);
    EXPECT_EQ(info.id, program_of(fd.get())->id);
    EXPECT_STREQ(info.name, "tested");
    EXPECT_EQ(info.gpl_compatible, 1U);
    EXPECT_EQ(info.xlated_prog_len, insns.size() * 8);
    EXPECT_GT(info.jited_prog_len, 0U);
    EXPECT_GT(info.load_time, 0U);
    EXPECT_GT(info.verified_insns, 0U);
    ASSERT_EQ(info.nr_map_ids, 2U) << "each map once";
    EXPECT_EQ(ids[0], map_of(used.get())->id());
    EXPECT_EQ(ids[1], map_of(bound.get())->id());
    EXPECT_EQ(ids[2], 0U);

    info = {};
    info.nr_map_ids = 1;
    info.map_ids = 4096;
    EXPECT_EQ(info_of(fd.get(), info), -EFAULT);
}

TEST_F(ObjectInfo, OfBtfGivesTheBlobBack) {
    const auto blob = btf_with(std::string("\0name\0", 6));
    const UniqueFd fd(static_cast<int>(load_btf(blob)));
    std::vector<std::uint8_t> copy(blob.size() + 1, 0xee);
    bpf_btf_info info{};
    info.btf = address(copy.data());
    info.btf_size = static_cast<std::uint32_t>(copy.size());
    ASSERT_EQ(info_of(fd.get(), info), 0);
    EXPECT_EQ(info.btf_size, blob.size());
    EXPECT_EQ(copy.back(), 0xee);
    copy.pop_back();
    EXPECT_EQ(copy, blob);
}

TEST_F(ObjectInfo, LengthsAreTheKernels) {
    const UniqueFd map(new_array());
    std::array<std::uint8_t, 5000> buffer{};
    std::uint32_t bytes = 4096;
    EXPECT_EQ(info_of(map.get(), buffer, &bytes), 0);
    EXPECT_EQ(bytes, 104U);
    const UniqueFd program(static_cast<int>(load(returns(1))));
    bytes = 4096;
    buffer = {};
    EXPECT_EQ(info_of(program.get(), buffer, &bytes), 0);
    EXPECT_EQ(bytes, 232U);
    const UniqueFd btf(static_cast<int>(load_btf(btf_with(std::string(1, '\0')))));
    bytes = 4096;
    buffer = {};
    EXPECT_EQ(info_of(btf.get(), buffer, &bytes), 0);
    EXPECT_EQ(bytes, 32U);

    bytes = 8;
    buffer.fill(0xee);
    EXPECT_EQ(info_of(map.get(), buffer, &bytes), 0);
    EXPECT_EQ(bytes, 8U);
    EXPECT_EQ(buffer[8], 0xee) << "written behind the caller's length";

    buffer = {};
    buffer[120] = 1;
    bytes = 128;
    EXPECT_EQ(info_of(map.get(), buffer, &bytes), -E2BIG);
    bytes = 4097;
    EXPECT_EQ(info_of(map.get(), buffer, &bytes), -E2BIG);
}

// The tags are those of kernel 6.18.
TEST_F(ObjectInfo, TagIsOfTheInstructionsWithoutMaps) {
    constexpr std::array<std::uint8_t, 8> kReturnsPass = {0x61, 0x4b, 0x43, 0x4c,
                                                          0xd8, 0x32, 0x4e, 0xcc};
    const UniqueFd pass(static_cast<int>(load(returns(2))));
    bpf_prog_info info{};
    ASSERT_EQ(info_of(pass.get(), info), 0);
    EXPECT_TRUE(std::equal(kReturnsPass.begin(), kReturnsPass.end(), info.tag));
    const UniqueFd one(new_array(1));
    const UniqueFd other(new_array(1));
    const UniqueFd uses_one(
        static_cast<int>(load(returns_value(op::kPseudoMapValue, one.get(), 0))));
    const UniqueFd uses_other(
        static_cast<int>(load(returns_value(op::kPseudoMapValue, other.get(), 0))));
    info = {};
    bpf_prog_info second{};
    ASSERT_EQ(info_of(uses_one.get(), info), 0);
    ASSERT_EQ(info_of(uses_other.get(), second), 0);
    EXPECT_EQ(std::memcmp(info.tag, second.tag, sizeof info.tag), 0);
}

TEST_F(ObjectInfo, InstructionsNameMapsByNumber) {
    const UniqueFd map(new_array(1));
    const auto insns = returns_value(op::kPseudoMapValue, map.get(), 4);
    const UniqueFd fd(static_cast<int>(load(insns)));
    std::vector<Insn> shown(insns.size());
    bpf_prog_info info{};
    info.xlated_prog_insns = address(shown.data());
    info.xlated_prog_len = static_cast<std::uint32_t>(shown.size() * sizeof(Insn));
    std::vector<std::uint8_t> code(1 << 16);
    info.jited_prog_insns = address(code.data());
    info.jited_prog_len = static_cast<std::uint32_t>(code.size());
    ASSERT_EQ(info_of(fd.get(), info), 0);
    EXPECT_EQ(shown[0].imm, static_cast<std::int32_t>(map_of(map.get())->id()));
    EXPECT_EQ(shown[1].imm, 4);
    EXPECT_EQ(std::memcmp(&shown[2], &insns[2], 2 * sizeof(Insn)), 0);
    const auto bytes = program_of(fd.get())->code.bytes();
    ASSERT_EQ(info.jited_prog_len, bytes);
    EXPECT_NE(std::count(code.begin(), code.begin() + static_cast<std::ptrdiff_t>(bytes), 0),
              static_cast<std::ptrdiff_t>(bytes));
}

TEST_F(ObjectInfo, NeedsOneOfOurDescriptors) {
    bpf_map_info info{};
    EXPECT_EQ(info_of(-1, info), -EBADFD);
    EXPECT_EQ(info_of(0, info), -EINVAL);
}

TEST_F(ObjectInfo, BindRefusesWhatIsNoProgramOrMap) {
    const UniqueFd map(new_array(1));
    const UniqueFd program(static_cast<int>(load(returns(1))));
    EXPECT_EQ(bind(map.get(), map.get()), -EINVAL);
    EXPECT_EQ(bind(program.get(), program.get()), -EINVAL);
    EXPECT_EQ(bind(9999, map.get()), -EBADF);
    EXPECT_EQ(bind(program.get(), 9999), -EBADF);
    bpf_attr attr{};
    attr.prog_bind_map.prog_fd = static_cast<std::uint32_t>(program.get());
    attr.prog_bind_map.map_fd = static_cast<std::uint32_t>(map.get());
    attr.prog_bind_map.flags = 1;
    EXPECT_EQ(call(BPF_PROG_BIND_MAP, attr), -EINVAL);
}

TEST_F(ObjectInfo, BtfMustHoldTogether) {
    const auto good = btf_with(std::string("\0name\0", 6));
    const auto refused = [&](std::size_t at, std::uint8_t value) {
        auto bad = good;
        bad[at] = value;
        EXPECT_EQ(load_btf(bad), -EINVAL) << "byte " << at;
    };
    refused(0, 0x9e);               // magic
    refused(2, 2);                  // version
    refused(3, 1);                  // flags
    refused(4, 23);                 // header length
    refused(4, 31);                 // strings then end behind the blob
    refused(11, 0xff);              // type offset
    refused(15, 0xff);              // type length
    refused(19, 0xff);              // string offset
    refused(20, 7);                 // string length
    refused(20, 0);                 // no strings
    refused(31, 0x7f);              // kind of the type
    refused(40, 'x');               // strings do not start with the empty one
    refused(good.size() - 1, 'x');  // nor end
    EXPECT_EQ(load_btf({}), -EINVAL);
    bpf_attr attr{};
    attr.btf = 4096;
    attr.btf_size = 64;
    EXPECT_EQ(call(BPF_BTF_LOAD, attr), -EFAULT);
    attr.btf_size = (16U << 20) + 1;
    EXPECT_EQ(call(BPF_BTF_LOAD, attr), -E2BIG);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
