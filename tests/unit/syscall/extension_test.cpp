// SPDX-License-Identifier: BSD-3-Clause
//
// Extensions (freplace) by bpf(2): what they stand for and until when, and that nothing a caller
// names wrongly gets further than EINVAL. Prototypes that differ: crema_extensions_test.py.
#include "lib/ebpf/syscall/extension.h"

#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/extensions.h"
#include "tests/support/open_files.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

using crema::test::BtfWriter;
using crema::test::Code;
using crema::test::ContextTypes;
using crema::test::load_extension;
using crema::test::load_target;
using crema::test::load_typed;
using crema::test::load_types;
using crema::test::mov_k;
using crema::test::put_in_place;
using crema::test::TypedLoad;

constexpr std::uint32_t kDeviceBound = 1U << 6;

Code returning(int verdict) {
    return {mov_k(0, verdict), exit_insn()};
}

UniqueFd as_fd(long result) {
    return UniqueFd(static_cast<int>(result));
}

class Extensions : public testing::TestWithParam<Engine> {
  protected:
    /// What a run of the target returns now; nobody's objects are gone before.
    [[nodiscard]] std::uint32_t verdict(int program) const {
        object_store::collect();
        constexpr std::array<std::uint8_t, 64> kPacket{};
        const auto run = xdp::test_run(*program_of(program), kPacket, 0, 1);
        EXPECT_TRUE(run) << run.error().message;
        return run ? run->retval : 0;
    }

    [[nodiscard]] long extension(std::uint32_t function, int target, int verdict = 7) const {
        return load_extension(returning(verdict), types_fd_.get(), target, function);
    }

    Session session_{0, Session::OnRefusal::fail, GetParam(), Session::Lifetime::descriptors};
    ContextTypes types_;
    UniqueFd types_fd_ = as_fd(load_types(types_.writer));
    UniqueFd target_ = as_fd(load_target(types_fd_.get()));
};

TEST_P(Extensions, StandForAFunctionAsLongAsTheLinkLives) {
    ASSERT_TRUE(target_.valid()) << session_.refusal()->message;
    for (const std::uint32_t function : {types_.called, types_.whole}) {
        const UniqueFd extended = as_fd(extension(function, target_.get()));
        ASSERT_TRUE(extended.valid()) << session_.refusal()->message;
        EXPECT_EQ(verdict(target_.get()), 3U) << "loaded is not attached";
        {
            const UniqueFd link = as_fd(put_in_place(extended.get()));
            ASSERT_TRUE(link.valid()) << session_.refusal()->message;
            EXPECT_EQ(verdict(target_.get()), 7U);
        }
        EXPECT_EQ(verdict(target_.get()), 3U);
    }
}

TEST_P(Extensions, TheLinkKeepsWhatItNeeds) {
    UniqueFd extended = as_fd(extension(types_.called, target_.get()));
    UniqueFd link = as_fd(put_in_place(extended.get()));
    const auto target = program_of(target_.get());
    const std::weak_ptr<const LoadedProgram> watched = program_of(extended.get());
    extended.reset();
    target_.reset();
    object_store::collect();
    EXPECT_FALSE(watched.expired());
    constexpr std::array<std::uint8_t, 64> kPacket{};
    EXPECT_EQ(xdp::test_run(*target, kPacket, 0, 1)->retval, 7U);
    link.reset();
    object_store::collect();
    EXPECT_TRUE(watched.expired()) << "nothing else keeps an extension";
    EXPECT_EQ(xdp::test_run(*target, kPacket, 0, 1)->retval, 3U);
}

TEST_P(Extensions, OnlyGlobalFunctionsThatAreThere) {
    std::uint32_t served = 0;
    for (std::uint32_t type = 0; type < 64; ++type) {
        const UniqueFd loaded = as_fd(extension(type, target_.get()));
        const bool expected = type == types_.called || type == types_.whole;
        EXPECT_EQ(loaded.valid(), expected) << type;
        EXPECT_TRUE(loaded.valid() || loaded.get() == -EINVAL) << type << ": " << loaded.get();
        served += loaded.valid() ? 1U : 0U;
    }
    EXPECT_EQ(served, 2U);
    for (const std::uint32_t type : {0xffffU, 0xf'ffffU, 0x10'0000U, 0x8000'0000U, UINT32_MAX}) {
        EXPECT_EQ(extension(type, target_.get()), -EINVAL) << type;
    }
}

TEST_P(Extensions, OnlyOfPrograms) {
    const UniqueFd map(new_array(1));
    const UniqueFd untyped = as_fd(load(returns(2)));
    const UniqueFd extended = as_fd(extension(types_.called, target_.get()));
    const UniqueFd link = as_fd(put_in_place(extended.get()));
    for (const int fd : {-1, 0, 12345, map.get(), untyped.get(), extended.get(), link.get()}) {
        EXPECT_EQ(extension(types_.called, fd), -EINVAL) << fd;
    }
    EXPECT_EQ(extension(types_.called, types_fd_.get()), -maps::kNotSupported);
    const auto load_as = [&](const TypedLoad& how, int types) {
        return load_typed(returning(1), types, {{0, types_.called}}, how);
    };
    const auto target = static_cast<std::uint32_t>(target_.get());
    const TypedLoad good = {
        .type = BPF_PROG_TYPE_EXT, .attach_type = 0, .target = target, .function = types_.called};
    EXPECT_TRUE(as_fd(load_as(good, types_fd_.get())).valid()) << session_.refusal()->message;
    EXPECT_EQ(load_as(good, -1), -EINVAL) << "without BTF";
    TypedLoad wrong = good;
    wrong.attach_type = BPF_XDP;
    EXPECT_EQ(load_as(wrong, types_fd_.get()), -EINVAL);
    wrong = good;
    wrong.type = BPF_PROG_TYPE_XDP;
    EXPECT_EQ(load_as(wrong, types_fd_.get()), -EINVAL);
    wrong = good;
    wrong.flags = kDeviceBound;
    EXPECT_EQ(load_as(wrong, types_fd_.get()), -EINVAL);
}

TEST_P(Extensions, OwnTypesThatDoNotFit) {
    ContextTypes types;
    BtfWriter& writer = types.writer;
    const std::uint32_t nothing = writer.proto(0, {{"ctx", types.pointer}});
    const std::uint32_t none = writer.proto(types.number, {});
    const std::uint32_t six = writer.proto(types.number, {{"a", types.pointer},
                                                          {"b", types.number},
                                                          {"c", types.number},
                                                          {"d", types.number},
                                                          {"e", types.number},
                                                          {"f", types.number}});
    const std::uint32_t forward = writer.reference(BtfKind::forward, "xdp_md", 0);
    const std::uint32_t to_forward = writer.reference(BtfKind::pointer, "", forward);
    const std::uint32_t other = writer.structure("pair", 8, {});
    const std::uint32_t to_other = writer.reference(BtfKind::pointer, "", other);
    const std::uint32_t to_number = writer.reference(BtfKind::pointer, "", types.number);
    std::vector<std::uint32_t> functions = {types.local};
    for (const std::uint32_t proto :
         {nothing, none, six, writer.proto(types.number, {{"ctx", to_forward}}),
          writer.proto(types.number, {{"ctx", to_other}}),
          writer.proto(types.number, {{"ctx", to_number}}),
          writer.proto(types.number, {{"ctx", types.context}}),
          writer.proto(types.number, {{"ctx", types.number}}),
          writer.proto(types.pointer, {{"ctx", types.pointer}}),
          writer.proto(types.context, {{"ctx", types.pointer}})}) {
        functions.push_back(writer.function("f", proto, kBtfGlobal));
    }
    const UniqueFd lies = as_fd(load_types(writer));
    ASSERT_TRUE(lies.valid()) << session_.refusal()->message;
    for (const std::uint32_t function : functions) {
        EXPECT_EQ(load_extension(returning(1), lies.get(), target_.get(), types_.called, function),
                  -EINVAL)
            << function;
    }
}

TEST_P(Extensions, AreLoadedWhereNoDescriptorIsLeftForTheLink) {
    const UniqueFd extended = as_fd(extension(types_.called, target_.get()));
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    const rlimit none = {.rlim_cur = 0, .rlim_max = old.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const long refused = put_in_place(extended.get());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    EXPECT_EQ(refused, -EMFILE);
    EXPECT_EQ(verdict(target_.get()), 3U) << "nobody holds it";
    const UniqueFd link = as_fd(put_in_place(extended.get()));
    EXPECT_TRUE(link.valid()) << "what it is for is not forgotten: " << link.get();
    EXPECT_EQ(verdict(target_.get()), 7U);
}

TEST_P(Extensions, LeaveNothingBehind) {
    object_store::collect();  // of other tests
    const std::size_t files = crema::test::open_files();
    const std::size_t objects = object_store::size();
    for (int i = 0; i < 20; ++i) {
        const UniqueFd extended = as_fd(extension(types_.called, target_.get(), i));
        const UniqueFd link = as_fd(put_in_place(extended.get()));
        EXPECT_EQ(verdict(target_.get()), static_cast<std::uint32_t>(i));
        EXPECT_EQ(put_in_place(extended.get()), -EINVAL);
    }
    object_store::collect();
    EXPECT_EQ(crema::test::open_files(), files);
    EXPECT_EQ(object_store::size(), objects);
}

INSTANTIATE_TEST_SUITE_P(Engines,
                         Extensions,
                         testing::Values(Engine::automatic, Engine::interpreter),
                         [](const auto& each) {
                             return each.param == Engine::interpreter ? "Interpreted" : "Compiled";
                         });

}  // namespace
}  // namespace crema::ebpf::syscall::test
