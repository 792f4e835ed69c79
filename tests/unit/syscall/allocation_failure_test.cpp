// SPDX-License-Identifier: BSD-3-Clause
//
// Memory may run out at any point of a bpf(2) call: every allocation of every case below is refused
// once alone and once with all that follow. The call succeeds or says ENOMEM, and afterwards
// descriptors, objects, heap blocks and mappings are what they were.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/extensions.h"
#include "tests/support/failing_memory.h"
#include "tests/support/open_files.h"
#include "tests/support/under_qemu.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

using crema::test::Refuses;

struct Levels {
    std::size_t files;
    std::size_t objects;
    std::uint64_t blocks;
    std::uint64_t mapped;

    friend bool operator==(const Levels&, const Levels&) = default;
};

std::ostream& operator<<(std::ostream& out, const Levels& levels) {
    return out << levels.files << " descriptors, " << levels.objects << " objects, "
               << levels.blocks << " blocks, " << levels.mapped << " bytes mapped";
}

Levels levels_now() {
    object_ids::collect();
    const std::size_t files = crema::test::open_files();
    return {.files = files,
            .objects = object_store::size(),
            .blocks = crema::test::blocks_in_use(),
            .mapped = crema::test::mapped_bytes()};
}

/// Something done by bpf(2): a result >= 0, or a negative errno. Leaves nothing behind.
using Scenario = std::function<long()>;

class AllocationFailure : public testing::Test {
  protected:
    void SetUp() override {
        if (!crema::test::kCanFail) {
            GTEST_SKIP() << "AddressSanitizer brings its own malloc: nothing can be refused";
        }
    }

    /// every_error: libraries in between turn ENOMEM into other errors, or into success.
    void walk(const char* name, const Scenario& scenario, bool every_error = false) {
        // What the process keeps for good is there after the first times.
        for (int i = 0; i < 3; ++i) {
            ASSERT_GE(scenario(), 0) << name;
        }
        crema::test::start_refusing(Refuses::nothing);
        (void)scenario();
        const std::uint64_t points = crema::test::stop_refusing();
        ASSERT_GT(points, 0U) << name;
        std::uint64_t refused = 0;
        for (const Refuses refuses : {Refuses::one, Refuses::all_from_there}) {
            for (std::uint64_t at = 0; at < points; ++at) {
                const Levels before = levels_now();
                crema::test::start_refusing(refuses, at);
                const long result = scenario();
                crema::test::stop_refusing();
                refused += result < 0 ? 1 : 0;
                EXPECT_TRUE(result >= 0 || result == -ENOMEM || every_error)
                    << name << ", allocation " << at << ": " << result;
                ASSERT_EQ(levels_now(), before)
                    << name << ", allocation " << at
                    << (refuses == Refuses::one ? "" : " and all behind it");
            }
        }
        EXPECT_GE(scenario(), 0) << name;
        EXPECT_GT(refused, points) << name;  // at least all of one of the two walks
        std::printf("%s: %llu allocations, %llu of %llu calls failed\n", name,
                    static_cast<unsigned long long>(points),
                    static_cast<unsigned long long>(refused), 2ULL * points);
    }
};

bpf_attr map_attr(std::uint32_t type,
                  std::uint32_t key,
                  std::uint32_t value,
                  std::uint32_t entries,
                  std::uint32_t flags = 0) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = key;
    attr.value_size = value;
    attr.max_entries = entries;
    attr.map_flags = flags;
    return attr;
}

TEST_F(AllocationFailure, MapsOfEveryType) {
    const std::tuple<const char*, bpf_attr> cases[] = {
        {"array", map_attr(BPF_MAP_TYPE_ARRAY, 4, 8, 4)},
        {"mmapable array", map_attr(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE)},
        {"percpu_array", map_attr(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4)},
        {"hash", map_attr(BPF_MAP_TYPE_HASH, 4, 8, 16)},
        {"hash without preallocation", map_attr(BPF_MAP_TYPE_HASH, 4, 8, 16, BPF_F_NO_PREALLOC)},
        {"percpu_hash", map_attr(BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 16)},
        {"lru_hash", map_attr(BPF_MAP_TYPE_LRU_HASH, 4, 8, 16)},
        {"lru_percpu_hash", map_attr(BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 16)},
        {"lpm_trie", map_attr(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, BPF_F_NO_PREALLOC)},
        {"queue", map_attr(BPF_MAP_TYPE_QUEUE, 0, 8, 16)},
        {"stack", map_attr(BPF_MAP_TYPE_STACK, 0, 8, 16)},
        {"bloom_filter", map_attr(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 16)},
        {"ringbuf", map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)},
        {"prog_array", map_attr(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4)},
        {"devmap", map_attr(BPF_MAP_TYPE_DEVMAP, 4, 4, 4)},
        {"devmap_hash", map_attr(BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 4)},
        {"cpumap", map_attr(BPF_MAP_TYPE_CPUMAP, 4, 4, 2)},
        {"xskmap", map_attr(BPF_MAP_TYPE_XSKMAP, 4, 4, 4)},
    };
    for (const auto& [name, created] : cases) {
        walk(name, [attr = created]() mutable {
            const Session session;
            const long result = call(BPF_MAP_CREATE, attr);
            const UniqueFd map(static_cast<int>(std::max(result, -1L)));
            return result;
        });
    }
}

/// Puts `value` at the key 1 of the map, twice, and takes it out again.
long put_twice_and_erase(long map, std::uint32_t value) {
    const std::uint32_t key = 1;
    bpf_attr update{};
    update.map_fd = static_cast<std::uint32_t>(map);
    update.key = address(&key);
    update.value = address(&value);
    for (int i = 0; i < 2; ++i) {
        if (const long result = call(BPF_MAP_UPDATE_ELEM, update); result < 0) {
            return result;
        }
    }
    bpf_attr erase{};
    erase.map_fd = update.map_fd;
    erase.key = update.key;
    return call(BPF_MAP_DELETE_ELEM, erase);
}

long use_map_of_maps(bpf_attr outer) {
    const Session session;
    bpf_attr inner = array_attr();
    const long form = call(BPF_MAP_CREATE, inner);
    const UniqueFd kept(static_cast<int>(std::max(form, -1L)));
    if (form < 0) {
        return form;
    }
    outer.inner_map_fd = static_cast<std::uint32_t>(form);
    const long map = call(BPF_MAP_CREATE, outer);
    const UniqueFd fd(static_cast<int>(std::max(map, -1L)));
    return map < 0 ? map : put_twice_and_erase(map, static_cast<std::uint32_t>(form));
}

/// Maps whose slots lead to something else: what was there goes with the map at the latest.
TEST_F(AllocationFailure, Slots) {
    walk("array_of_maps",
         [] { return use_map_of_maps(map_attr(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2)); });
    walk("hash_of_maps",
         [] { return use_map_of_maps(map_attr(BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 2)); });
    walk("prog_array", [] {
        static const std::vector<Insn> insns = returns(2);
        const Session session;
        bpf_attr create = map_attr(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
        const long map = call(BPF_MAP_CREATE, create);
        const UniqueFd fd(static_cast<int>(std::max(map, -1L)));
        if (map < 0) {
            return map;
        }
        const long program = load(insns);
        const UniqueFd held(static_cast<int>(std::max(program, -1L)));
        return program < 0 ? program
                           : put_twice_and_erase(map, static_cast<std::uint32_t>(program));
    });
}

/// Creates a map, fills it, reads it by element and by batch, empties it.
long use_elements(bpf_attr create) {
    const Session session;
    const long fd = call(BPF_MAP_CREATE, create);
    const UniqueFd map(static_cast<int>(std::max(fd, -1L)));
    if (fd < 0) {
        return fd;
    }
    std::uint64_t key = 0;
    std::uint64_t value[64] = {};
    bpf_attr element{};
    element.map_fd = static_cast<std::uint32_t>(fd);
    element.key = address(&key);
    element.value = address(value);
    for (; key < 3; ++key) {
        if (const long result = call(BPF_MAP_UPDATE_ELEM, element); result < 0) {
            return result;
        }
    }
    key = 1;
    if (const long result = call(BPF_MAP_LOOKUP_ELEM, element); result < 0) {
        return result;
    }
    std::uint32_t cursor = 0;
    std::uint32_t keys[8] = {};
    std::uint64_t values[8 * 64] = {};
    bpf_attr batch{};
    batch.batch.map_fd = static_cast<std::uint32_t>(fd);
    batch.batch.out_batch = address(&cursor);
    batch.batch.keys = address(keys);
    batch.batch.values = address(values);
    batch.batch.count = 8;
    if (const long result = call(BPF_MAP_LOOKUP_BATCH, batch); result < 0 && result != -ENOENT) {
        return result;
    }
    bpf_attr erase{};
    erase.map_fd = element.map_fd;
    erase.key = element.key;
    return call(BPF_MAP_DELETE_ELEM, erase);
}

TEST_F(AllocationFailure, Elements) {
    walk("elements of a hash", [] { return use_elements(map_attr(BPF_MAP_TYPE_HASH, 4, 8, 16)); });
    walk("elements of a hash without preallocation",
         [] { return use_elements(map_attr(BPF_MAP_TYPE_HASH, 4, 8, 16, BPF_F_NO_PREALLOC)); });
    walk("elements of a per-CPU hash",
         [] { return use_elements(map_attr(BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 16)); });
    walk("elements of an LRU hash",
         [] { return use_elements(map_attr(BPF_MAP_TYPE_LRU_HASH, 4, 8, 16)); });
}

/// A map, branches and a loop, a function, helpers: something of every part of a load.
std::vector<Insn> busy_program(int map) {
    return {
        insn(op::kStx | op::kMem | op::kDw, 10, 1, -16, 0),
        insn(op::kSt | op::kMem | op::kW, 10, 0, -4, 1),
        insn(op::kLdImm64, 1, op::kPseudoMap, 0, map),
        insn(0, 0, 0, 0, 0),
        insn(op::kAlu64 | op::kMov | op::kX, 2, 10, 0, 0),
        insn(op::kAlu64 | op::kAdd | op::kK, 2, 0, 0, -4),
        insn(op::kJmp | op::kCall, 0, 0, 0, 1),  // lookup
        insn(op::kJmp | op::kJeq | op::kK, 0, 0, 2, 0),
        move(1, 1),
        insn(op::kStx | op::kAtomic | op::kDw, 0, 1, 0, 0),
        move(6, 3),
        insn(op::kAlu64 | op::kMov | op::kX, 1, 6, 0, 0),
        insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 5),
        insn(op::kAlu64 | op::kAdd | op::kK, 6, 0, 0, -1),
        insn(op::kJmp | op::kJne | op::kK, 6, 0, -4, 0),
        insn(op::kJmp | op::kCall, 0, 0, 0, 8),  // get_smp_processor_id
        move(0, 2),
        exit_insn(),
        insn(op::kAlu64 | op::kMov | op::kX, 0, 1, 0, 0),
        insn(op::kAlu64 | op::kMul | op::kK, 0, 0, 0, 7),
        exit_insn(),
    };
}

long load_busy_program(Engine engine, std::uint32_t log_level) {
    static char log[1 << 16];
    const Session session(0, Session::OnRefusal::fail, engine);
    bpf_attr array = array_attr();
    const long fd = call(BPF_MAP_CREATE, array);
    const UniqueFd map(static_cast<int>(std::max(fd, -1L)));
    if (fd < 0) {
        return fd;
    }
    std::vector<Insn> insns;
    try {
        insns = busy_program(map.get());
    } catch (const std::bad_alloc&) {
        return -ENOMEM;  // the test's own
    }
    bpf_attr attr = prog_attr(insns);
    attr.log_level = log_level;
    attr.log_buf = log_level != 0 ? address(log) : 0;
    attr.log_size = log_level != 0 ? sizeof log : 0;
    const long result = call(BPF_PROG_LOAD, attr);
    const UniqueFd program(static_cast<int>(std::max(result, -1L)));
    if (result < 0) {
        return result;
    }
    bpf_prog_info info{};
    bpf_attr ask{};
    ask.info.bpf_fd = static_cast<std::uint32_t>(result);
    ask.info.info_len = sizeof info;
    ask.info.info = address(&info);
    return call(BPF_OBJ_GET_INFO_BY_FD, ask);
}

TEST_F(AllocationFailure, ProgramsCompiled) {
    walk("program", [] { return load_busy_program(Engine::automatic, 0); });
    walk("program with a log", [] { return load_busy_program(Engine::automatic, 2); });
}

TEST_F(AllocationFailure, ProgramsInterpreted) {
    walk("interpreted program", [] { return load_busy_program(Engine::interpreter, 0); });
}

TEST_F(AllocationFailure, Types) {
    static const std::vector<std::uint8_t> btf = btf_with(std::string("\0", 1));
    walk("BTF", [] {
        const Session session;
        const long result = load_btf(btf);
        const UniqueFd fd(static_cast<int>(std::max(result, -1L)));
        return result;
    });
}

/// Loads a program and an extension and puts that in place.
long extend(Engine engine) {
    static const crema::test::ContextTypes types;
    const Session session(0, Session::OnRefusal::fail, engine);
    const auto held = [](long result) { return UniqueFd(static_cast<int>(std::max(result, -1L))); };
    const long btf = crema::test::load_types(types.writer);
    const UniqueFd btf_fd = held(btf);
    const long target = btf < 0 ? btf : crema::test::load_target(static_cast<int>(btf), types);
    const UniqueFd target_fd = held(target);
    const long extension = target < 0 ? target
                                      : crema::test::load_extension(
                                            {move(0, 1), exit_insn()}, static_cast<int>(btf),
                                            static_cast<int>(target), types.called, types.called);
    const UniqueFd extension_fd = held(extension);
    const long link =
        extension < 0 ? extension : crema::test::put_in_place(static_cast<int>(extension));
    const UniqueFd link_fd = held(link);
    return link;
}

TEST_F(AllocationFailure, Extensions) {
    for (const Engine engine : {Engine::automatic, Engine::interpreter}) {
        walk("extension", [engine] {
            try {
                return extend(engine);
            } catch (const std::bad_alloc&) {
                return -static_cast<long>(ENOMEM);  // the test's own
            }
        });
    }
}

TEST_F(AllocationFailure, ObjectFiles) {
    SKIP_UNDER_QEMU("memory map without what it maps itself");
    walk(
        "object file",
        [] {
            try {
                static const std::string path = std::string(CREMA_TEST_OBJECTS) + "/globals.o";
                const auto object = loader::Object::load(path);
                return object ? 0L : -static_cast<long>(object.error().code);
            } catch (const std::bad_alloc&) {
                return -static_cast<long>(ENOMEM);  // the test's own
            }
        },
        true);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
