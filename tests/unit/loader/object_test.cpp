// SPDX-License-Identifier: BSD-3-Clause
//
// Object files: what a good one yields, and that each bad one gives one line that names the file
// and the reason, and leaves nothing behind.
#include "lib/ebpf/loader/object.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/open_files.h"

namespace crema::ebpf::loader {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

std::string object_path(const std::string& name) {
    return std::string(CREMA_TEST_OBJECTS "/") + name + ".o";
}

/// A file of this test, removed with it.
class ScratchFile {
  public:
    ScratchFile(const std::string& name, const std::string& content)
        : path_(testing::TempDir() + "crema_" + std::to_string(getpid()) + "_" + name) {
        std::ofstream(path_, std::ios::binary) << content;
    }

    ~ScratchFile() { unlink(path_.c_str()); }

    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    ScratchFile(ScratchFile&&) = delete;
    ScratchFile& operator=(ScratchFile&&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Loads what must be refused; the error with the checks that hold for every refusal.
Error refusal_of(const std::string& path) {
    const std::size_t files = crema::test::open_files();
    testing::internal::CaptureStderr();
    const auto object = Object::load(path);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "spilled besides the error";
    EXPECT_EQ(crema::test::open_files(), files) << path;
    EXPECT_EQ(syscall::object_store::size(), 0U) << path;
    if (object) {
        ADD_FAILURE() << path << " was loaded";
        return {};
    }
    EXPECT_THAT(object.error().message, HasSubstr(path));
    EXPECT_THAT(object.error().message, Not(HasSubstr("\n")));
    EXPECT_GT(object.error().code, 0);
    return object.error();
}

class GoodObject : public testing::Test {
  protected:
    void SetUp() override {
        auto loaded = Object::load(object_path("globals"));
        ASSERT_TRUE(loaded) << loaded.error().message;
        object_ = std::move(*loaded);
    }

    Object object_;
};

TEST_F(GoodObject, HasItsXdpProgramsInOrder) {
    std::vector<std::uint32_t> attach_types;
    for (const auto& program : object_.programs()) {
        attach_types.push_back(program->program.expected_attach_type);
    }
    EXPECT_THAT(attach_types,
                ElementsAre(kAttachXdp, kAttachXdp, kAttachXdpDevmap, kAttachXdpCpumap));
}

TEST_F(GoodObject, FindsProgramsByTheirFullName) {
    const auto first = object_.program("");
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(*first, object_.programs()[0]);
    const auto by_name = object_.program("count_with_a_long_name");
    ASSERT_TRUE(by_name) << by_name.error().message;
    EXPECT_EQ(*by_name, *first);
    EXPECT_EQ((*by_name)->program.name, "count_with_a_lo");
    EXPECT_EQ(*object_.program("on_cpu"), object_.programs()[3]);
    for (const auto* absent : {"count_with_a_lo", "left_out", "for_tc", "xdp"}) {
        const auto none = object_.program(absent);
        ASSERT_FALSE(none) << absent;
        EXPECT_EQ(none.error().code, ENOENT);
        EXPECT_THAT(none.error().message, HasSubstr("count_with_a_long_name, redirect_to_cpu"));
    }
}

TEST_F(GoodObject, HasItsMapsIncludingGlobalData) {
    std::vector<std::string> names;
    for (const auto& entry : object_.maps()) {
        names.push_back(entry.name);
    }
    EXPECT_THAT(names,
                UnorderedElementsAre("totals", "per_cpu", "cpus", ".rodata", ".data", ".bss"));
    const auto none = object_.map("total");
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, HasSubstr("totals"));
}

TEST_F(GoodObject, RunsWithItsGlobalData) {
    const std::array<std::uint8_t, 64> packet{};
    const auto run = xdp::test_run(**object_.program("count_with_a_long_name"), packet, 1, 2);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->retval, 2U);
    const std::uint32_t key = 1;
    std::uint64_t total = 0;
    ASSERT_EQ((*object_.map("totals"))->lookup(&key, &total), 0);
    EXPECT_EQ(total, 46U) << ".data holds 40, .rodata 3, two runs";
    const std::uint32_t zero = 0;
    std::uint64_t seen = 0;
    ASSERT_EQ((*object_.map(".bss"))->lookup(&zero, &seen), 0);
    EXPECT_EQ(seen, 6U);
    EXPECT_TRUE((*object_.map(".rodata"))->frozen());
}

TEST_F(GoodObject, ProgramsOutliveIt) {
    const auto program = *object_.program("");
    object_ = Object();
    const std::array<std::uint8_t, 64> packet{};
    EXPECT_TRUE(xdp::test_run(*program, packet, 1, 1));
}

TEST_F(GoodObject, AProgramGoesIntoACpumapByDescriptor) {
    const auto map = *object_.map("cpus");
    auto fd = syscall::ProgramFd::open(*object_.program("on_cpu"));
    ASSERT_TRUE(fd) << fd.error().message;

    struct {
        std::uint32_t queue_size;
        int program;
    } value{192, fd->get()};

    const std::uint32_t key = 0;
    EXPECT_EQ(map->update(&key, &value, 0), 0);

    struct {
        std::uint32_t queue_size;
        std::uint32_t program_id;
    } shown{};

    EXPECT_EQ(map->lookup(&key, &shown), 0);
    EXPECT_EQ(shown.queue_size, 192U);
    EXPECT_EQ(shown.program_id, (*object_.program("on_cpu"))->id);
    auto wrong = syscall::ProgramFd::open(*object_.program("on_egress"));
    ASSERT_TRUE(wrong);
    value.program = wrong->get();
    EXPECT_NE(map->update(&key, &value, 0), 0) << "a devmap program in a cpumap";
}

TEST(Load, ASectionNameOfOldTimesIsXdpAndPinningIsIgnored) {
    const auto object = Object::load(object_path("old_section"));
    ASSERT_TRUE(object) << object.error().message;
    const auto program = object->program("");
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ((*program)->program.expected_attach_type, kAttachXdp);
}

TEST(Load, GivesTheVerifiersLog) {
    std::string log;
    const auto good = Object::load(object_path("globals"), 1, &log);
    ASSERT_TRUE(good) << good.error().message;
    EXPECT_NE(log, "");
    log = "old";
    EXPECT_FALSE(Object::load(object_path("out_of_bounds"), 1, &log));
    EXPECT_THAT(log, HasSubstr("invalid access to packet"));
    EXPECT_THAT(log, Not(HasSubstr("old")));
}

TEST(Judged, ARefusedProgramDoesNotTakeTheOthersWithIt) {
    const auto object = Object::load(object_path("mixed"));
    ASSERT_TRUE(object) << object.error().message;
    std::vector<std::string> names;
    std::vector<bool> accepted;
    for (const JudgedProgram& judged : object->judged()) {
        names.push_back(judged.name);
        accepted.push_back(judged.judgement.loaded != nullptr);
        EXPECT_NE(judged.judgement.refusal.has_value(), accepted.back()) << judged.name;
        EXPECT_FALSE(judged.program().insns.empty()) << judged.name;
        EXPECT_FALSE(judged.program().lines.empty()) << judged.name;
        EXPECT_GT(judged.judgement.processed_insns, 0U) << judged.name;
    }
    EXPECT_THAT(names, ElementsAre("first_is_refused", "second_passes", "third_drops",
                                   "of_devmap_is_refused"));
    EXPECT_THAT(accepted, ElementsAre(false, true, true, false));
    EXPECT_EQ(object->judged()[3].section, "xdp/devmap");
    EXPECT_EQ(object->programs().size(), 2U);
    EXPECT_TRUE(object->program("third_drops"));
}

TEST(Judged, AskingForARefusedProgramGivesItsRefusal) {
    const auto object = Object::load(object_path("mixed"));
    ASSERT_TRUE(object) << object.error().message;
    for (const auto* name : {"first_is_refused", ""}) {  // no other program steps in
        const auto program = object->program(name);
        ASSERT_FALSE(program);
        EXPECT_EQ(program.error().code, EACCES);
        EXPECT_THAT(program.error().message, HasSubstr("mixed.o: program first_is_refused: "));
        EXPECT_THAT(program.error().message, HasSubstr("mixed.bpf.c:"));
    }
}

TEST(Judged, AnObjectWithoutAnyGoodProgramIsJudgedButNotLoaded) {
    const auto judged = Object::judge(object_path("out_of_bounds"), 1);
    ASSERT_TRUE(judged) << judged.error().message;
    ASSERT_EQ(judged->judged().size(), 1U);
    EXPECT_TRUE(judged->programs().empty());
    EXPECT_THAT(judged->judged()[0].judgement.log, HasSubstr("invalid access to packet"));
    EXPECT_EQ(Object::load(object_path("out_of_bounds")).error().message,
              judged->judged()[0].judgement.refusal->message);
}

TEST(Judged, TheSlotOfARefusedProgramStaysEmpty) {
    const auto object = Object::load(object_path("refused_slot"));
    ASSERT_TRUE(object) << object.error().message;
    const std::array<std::uint8_t, 64> packet{};
    const auto run = xdp::test_run(**object->program("start"), packet, 1, 1);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->retval, 3U) << "a tail call of the empty slot goes on, the next one is taken";
}

TEST(Load, LeavesNothingBehind) {
    ASSERT_TRUE(Object::load(object_path("globals")));  // libraries take what they keep
    const std::size_t files = crema::test::open_files();
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(Object::load(object_path("globals")));
        ASSERT_FALSE(Object::load(object_path("out_of_bounds")));
        ASSERT_TRUE(Object::load(object_path("mixed")));
    }
    EXPECT_EQ(crema::test::open_files(), files);
    EXPECT_EQ(syscall::object_store::size(), 0U);
}

TEST(Refused, MissingFile) {
    const Error error = refusal_of("/nonexistent/object.o");
    EXPECT_EQ(error.code, ENOENT);
    EXPECT_THAT(error.message, HasSubstr("No such file"));
}

TEST(Refused, Folder) {
    EXPECT_EQ(refusal_of("/usr").code, EISDIR);
    EXPECT_EQ(refusal_of("/dev/null").code, EINVAL);
}

TEST(Refused, NotAnElfFile) {
    const ScratchFile text("text.o", "int main(void) { return 0; }\n");
    EXPECT_THAT(refusal_of(text.path()).message, HasSubstr("not an ELF file"));
    const ScratchFile empty("empty.o", "");
    EXPECT_THAT(refusal_of(empty.path()).message, HasSubstr("not an ELF file"));
}

TEST(Refused, ElfFileForAnotherMachine) {
    EXPECT_THAT(refusal_of("/proc/self/exe").message, HasSubstr("not a BPF object"));
}

TEST(Refused, CutOffFile) {
    const std::string whole = content_of(object_path("globals"));
    const ScratchFile half("half.o", whole.substr(0, whole.size() / 2));
    EXPECT_THAT(refusal_of(half.path()).message, HasSubstr("damaged"));
    const ScratchFile header("header.o", whole.substr(0, 20));
    EXPECT_THAT(refusal_of(header.path()).message, HasSubstr("cut off"));
}

TEST(Refused, NoXdpProgram) {
    EXPECT_THAT(
        refusal_of(object_path("not_xdp")).message,
        testing::AllOf(HasSubstr("no XDP program"), HasSubstr("'classify'"), HasSubstr("'tc'")));
}

TEST(Refused, OutOfBoundsPacketRead) {
    const Error error = refusal_of(object_path("out_of_bounds"));
    EXPECT_EQ(error.code, EACCES);
    EXPECT_THAT(error.message, HasSubstr("program reads_without_a_check: instruction"));
    EXPECT_THAT(error.message, HasSubstr("out_of_bounds.bpf.c:"));
    EXPECT_THAT(error.message, HasSubstr("invalid access to packet"));
    EXPECT_THAT(error.message, HasSubstr("data_end"));
}

TEST(Refused, UnknownHelper) {
    const Error error = refusal_of(object_path("unknown_helper"));
    EXPECT_EQ(error.code, EINVAL);
    EXPECT_THAT(error.message, HasSubstr("program calls_it: instruction"));
    EXPECT_THAT(error.message, HasSubstr("4711"));
}

TEST(Refused, UnservedMapType) {
    const Error error = refusal_of(object_path("unserved_map"));
    EXPECT_THAT(error.message, HasSubstr("map groups"));
    EXPECT_THAT(error.message, HasSubstr("cgroup_array"));
}

TEST(Refused, MissingKernelFunction) {
    const Error error = refusal_of(object_path("missing_kfunc"));
    EXPECT_THAT(error.message, HasSubstr("kernel function bpf_strlen is not served"));
}

TEST(Load, CoreRelocationsAreResolvedFromTheKernelsTypes) {
    if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
        GTEST_SKIP() << "this kernel shows no BTF";
    }
    const auto object = Object::load(object_path("core_relocation"));
    EXPECT_TRUE(object) << object.error().message;
}

TEST(Refused, CoreRelocationWithoutKernelTypes) {
    // A child hides the kernel's BTF from itself.
    constexpr int kCannotHide = 77;
    const pid_t child = fork();
    if (child == 0) {
        if (access("/sys/kernel/btf/vmlinux", R_OK) == 0 &&
            (unshare(CLONE_NEWNS) != 0 ||
             mount(nullptr, "/sys", nullptr, MS_PRIVATE, nullptr) != 0 ||
             mount("none", "/sys/kernel/btf", "tmpfs", 0, nullptr) != 0)) {
            _exit(kCannotHide);
        }
        const std::string message = refusal_of(object_path("core_relocation")).message;
        EXPECT_THAT(message,
                    testing::AllOf(HasSubstr("CO-RE"), HasSubstr("/sys/kernel/btf/vmlinux")));
        _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotHide) {
        GTEST_SKIP() << "hiding the kernel's BTF from a child needs the right to mount";
    }
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace crema::ebpf::loader
