// SPDX-License-Identifier: BSD-3-Clause
//
// Each map type while eight threads look up, write, delete, take, iterate and do so in batches,
// beside two threads that run a program which uses the map in every way it may. A third of a second
// for each type; CREMA_TEST_ROUNDS=180 makes it a minute. Built with ThreadSanitizer it finds races
// in everything but compiled code, whose helpers it sees.
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/maps/perf_event_array.h"
#include "lib/ebpf/maps/ringbuf.h"
#include "lib/ebpf/maps/user_ringbuf.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/test_run.h"
#include "tests/concurrency/bpf_side.h"
#include "tests/support/rounds.h"
#include "tests/support/without_targets.h"

namespace crema::test {
namespace {

using ebpf::maps::MapType;

constexpr int kBpfThreads = 8, kProgramThreads = 2;

/// Descriptors of the store for as long as a test needs them.
class Descriptors {
  public:
    Descriptors() = default;

    ~Descriptors() { ebpf::syscall::object_store::remove_all_of(this); }

    Descriptors(const Descriptors&) = delete;
    Descriptors& operator=(const Descriptors&) = delete;

    int add(ebpf::syscall::StoredObject object) {
        auto fd = ebpf::syscall::object_store::add(std::move(object), this);
        EXPECT_TRUE(fd) << fd.error().message;
        fds_.emplace_back(fd.value_or(-1));
        return fds_.back().get();
    }

  private:
    std::vector<UniqueFd> fds_;
};

void register_ports() {
    static const xdp::PortOps ops = {
        .mode = "test",
        .xmit = [](void*, std::uint32_t, const xdp::Frame*, std::uint32_t) { return 0U; },
        .attach_check = [](void*, bool) { return Status(); },
        .frame_bytes_max = [](void*) { return 1518U; },
        .is_up = [](void*) { return false; },
    };
    static const bool once = xdp::register_port(0, ops, nullptr).has_value();
    ASSERT_TRUE(once);
}

class Concurrency : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        register_ports();
        auto loaded = ebpf::loader::Object::load(CREMA_BUSY_MAPS);
        ASSERT_TRUE(loaded) << loaded.error().message;
        object_.emplace(std::move(*loaded));
        auto map = object_->map(GetParam());
        ASSERT_TRUE(map) << map.error().message;
        busy_.map = *map;
        busy_.fd = descriptors_.add(ebpf::syscall::MapObject{.map = *map, .btf = nullptr});
        name_objects();
        name_words();
    }

    /// What the values of maps of objects name.
    void name_objects() {
        switch (busy_.map->spec().type) {
            case MapType::prog_array: {
                const auto leaf = object_->program("leaf");
                ASSERT_TRUE(leaf) << leaf.error().message;
                for (int i = 0; i < 3; ++i) {
                    busy_.objects.push_back(
                        descriptors_.add(ebpf::syscall::ProgramObject{.program = *leaf}));
                }
                return;
            }
            case MapType::array_of_maps:
            case MapType::hash_of_maps:
                for (const char* name : {"inner", "other"}) {
                    busy_.objects.push_back(descriptors_.add(ebpf::syscall::MapObject{
                        .map = object_->map(name).value(), .btf = nullptr}));
                }
                return;
            case MapType::perf_event_array:
                for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
                    auto event = ebpf::maps::PerfEvent::open({.cpu = cpu % 2});
                    ASSERT_TRUE(event);
                    ASSERT_EQ((*event)->make_ring(3 * 4096, true), 0);
                    ASSERT_GE((*event)->wakeups().fd(), 0);
                    events_.push_back(*event);
                    busy_.objects.push_back(
                        descriptors_.add(ebpf::syscall::EventObject{.event = *event}));
                }
                return;
            case MapType::devmap:
            case MapType::devmap_hash:
                busy_.objects = {1, 2, 3};
                return;
            case MapType::cpumap:
                busy_.objects = {0, 64, 192};
                return;
            case MapType::xskmap:
                busy_.objects = {-1, busy_.fd};
                return;
            default:
                return;
        }
    }

    /// Which bytes of a value are words with a tag.
    void name_words() {
        const std::string name = GetParam();
        busy_.locks = name.ends_with("_locked");
        const bool is_timed = name.ends_with("_timed");
        if (!busy_.objects.empty() || busy_.map->spec().key_size == 0) {
            return;
        }
        busy_.words_from = busy_.locks ? 8 : 0;
        busy_.words_to = is_timed ? 16 : busy_.map->user_value_bytes();
    }

    /// What stands on the other side of a ring; nothing for other types.
    void other_end(const std::atomic<bool>& stop) {
        switch (busy_.map->spec().type) {
            case MapType::ringbuf: {
                auto& ring = static_cast<ebpf::maps::RingBuffer&>(*busy_.map);
                while (!stop.load()) {
                    records_ += ring.consume([this](std::span<const std::uint8_t> record) {
                        check_words(record.data(), record.size());
                    });
                    std::this_thread::yield();
                }
                return;
            }
            case MapType::user_ringbuf: {
                ebpf::maps::UserRingProducer producer(
                    static_cast<ebpf::maps::UserRingBuffer&>(*busy_.map));
                ASSERT_TRUE(producer.valid());
                const std::array<std::uint64_t, 2> words = {kWordTag << 32U | 1,
                                                            kWordTag << 32U | 2};
                while (!stop.load()) {
                    void* const sample = producer.reserve(sizeof words);
                    if (sample == nullptr) {
                        std::this_thread::yield();
                        continue;
                    }
                    std::memcpy(sample, words.data(), sizeof words);
                    if (++records_ % 5 == 0) {
                        producer.discard(sample);
                    } else {
                        producer.submit(sample);
                    }
                }
                return;
            }
            case MapType::perf_event_array:
                while (!stop.load()) {
                    for (const auto& event : events_) {
                        records_ += event->consume(
                            [this](std::span<const std::uint8_t> sample) {
                                check_words(sample.data(), 8);
                            },
                            [](std::uint64_t) {});
                    }
                    std::this_thread::yield();
                }
                return;
            default:
                return;
        }
    }

    void check_words(const std::uint8_t* bytes, std::size_t size) {
        for (std::size_t at = 0; at + 8 <= size; at += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + at, sizeof word);
            torn_ += is_whole(word) ? 0 : 1;
        }
    }

    [[nodiscard]] std::uint64_t torn_in_programs() const {
        const auto globals = object_->map(".bss");
        std::uint64_t torn = 1;
        const auto* const at = globals ? (*globals)->layout().base : nullptr;
        if (at != nullptr) {
            std::memcpy(&torn, at, sizeof torn);
        }
        return torn;
    }

    WithoutTargets without_targets_;
    std::optional<ebpf::loader::Object> object_;
    Descriptors descriptors_;
    BusyMap busy_;
    std::vector<std::shared_ptr<ebpf::maps::PerfEvent>> events_;
    std::atomic<std::uint64_t> records_{0};
    std::atomic<std::uint64_t> torn_{0};
};

TEST_P(Concurrency, BpfCallsBesidePrograms) {
    const auto program = object_->program(std::string("use_") + GetParam());
    ASSERT_TRUE(program) << program.error().message;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> runs{0};
    std::atomic<std::uint64_t> done{0};
    std::vector<std::thread> threads;
    threads.reserve(kBpfThreads + kProgramThreads + 1);
    for (int i = 0; i < kBpfThreads; ++i) {
        threads.emplace_back([&, i] {
            BpfSide side(busy_, first_seed() * 100 + static_cast<std::uint64_t>(i));
            bool fine = true;
            while (!stop.load() && fine) {
                fine = side.step();
            }
            EXPECT_TRUE(fine) << side.complaint();
            done += side.done();
        });
    }
    for (int i = 0; i < kProgramThreads; ++i) {
        threads.emplace_back([&] {
            const std::array<std::uint8_t, 64> packet{};
            while (!stop.load()) {
                const auto ran = xdp::test_run(**program, packet, 1, 8);
                ASSERT_TRUE(ran) << ran.error().message;
                runs++;
            }
        });
    }
    threads.emplace_back([&] { other_end(stop); });
    std::this_thread::sleep_for(std::chrono::milliseconds(scaled_rounds(333)));
    stop = true;
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_GT(runs.load(), 0U);
    EXPECT_EQ(torn_in_programs(), 0U);
    EXPECT_EQ(torn_.load(), 0U);
    RecordProperty("runs", std::to_string(runs.load()));
    RecordProperty("commands_done", std::to_string(done.load()));
    const MapType type = busy_.map->spec().type;
    if (type == MapType::ringbuf || type == MapType::user_ringbuf ||
        type == MapType::perf_event_array) {
        EXPECT_GT(records_.load(), 0U);
    } else if (type != MapType::xskmap) {
        EXPECT_GT(done.load(), 0U);
    }
    const bool is_hash = type == MapType::hash || type == MapType::percpu_hash ||
                         type == MapType::lpm_trie || type == MapType::devmap_hash;
    if (is_hash && !busy_.locks) {
        BpfSide side(busy_, 1);
        EXPECT_TRUE(side.empties()) << side.complaint();
    }
}

INSTANTIATE_TEST_SUITE_P(EveryMapType,
                         Concurrency,
                         testing::Values("array",
                                         "array_locked",
                                         "array_timed",
                                         "percpu_array",
                                         "hash",
                                         "hash_lazy",
                                         "hash_locked",
                                         "hash_timed",
                                         "percpu_hash",
                                         "lru_hash",
                                         "lru_timed",
                                         "lru_own",
                                         "lru_percpu_hash",
                                         "lpm_trie",
                                         "devmap",
                                         "devmap_hash",
                                         "cpumap",
                                         "xskmap",
                                         "prog_array",
                                         "perf_event_array",
                                         "queue",
                                         "stack",
                                         "bloom_filter",
                                         "ringbuf",
                                         "user_ringbuf",
                                         "array_of_maps",
                                         "hash_of_maps"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace crema::test
