// SPDX-License-Identifier: BSD-3-Clause
//
// Timers: every state and what helpers say in it, callbacks that arm, cancel and delete themselves,
// cancelling beside a callback that runs, and who keeps whom alive. Beside the kernel:
// tests/conformance/timers_tool.cpp.
#include "lib/ebpf/maps/timers.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

#include "lib/ebpf/maps/array.h"
#include "lib/ebpf/maps/callback_owner.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::maps {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kMs = 1'000'000, kNever = std::uint64_t{3600} * 1000 * kMs;
constexpr std::uint32_t kField = 8;

struct Trace {
    std::atomic<std::uint32_t> calls{0};
    std::atomic<std::uint32_t> key{0};
    std::atomic<std::uint64_t> value{0};
    std::atomic<int> said{1};
    std::atomic<bool> holds{false};  // the callback waits while this is set
    std::atomic<bool> is_inside{false};
};

Trace g_trace;

void clear_trace() {
    g_trace.calls = 0;
    g_trace.key = 99;
    g_trace.value = 0;
    g_trace.said = 1;
    g_trace.holds = false;
    g_trace.is_inside = false;
}

std::uint8_t* field_of(std::uint64_t value) {
    return reinterpret_cast<std::uint8_t*>(value) + kField;
}

std::uint64_t leaves_traces(
    std::uint64_t, std::uint64_t key, std::uint64_t value, std::uint64_t, std::uint64_t) {
    g_trace.is_inside = true;
    while (g_trace.holds) {
        std::this_thread::yield();
    }
    g_trace.key = *reinterpret_cast<const std::uint32_t*>(key);
    g_trace.value = value;
    g_trace.is_inside = false;
    g_trace.calls++;
    return 0;
}

std::uint64_t goes_on(
    std::uint64_t, std::uint64_t, std::uint64_t value, std::uint64_t, std::uint64_t) {
    if (++g_trace.calls < 5) {
        g_trace.said = timers::start(field_of(value), kMs, 0, 0);
    }
    return 0;
}

std::uint64_t cancels_itself(
    std::uint64_t, std::uint64_t, std::uint64_t value, std::uint64_t, std::uint64_t) {
    g_trace.said = timers::cancel(field_of(value));
    g_trace.calls++;
    return 0;
}

std::uint64_t deletes_itself(
    std::uint64_t map, std::uint64_t key, std::uint64_t, std::uint64_t, std::uint64_t) {
    auto& hash = *static_cast<HashMap*>(reinterpret_cast<Map*>(map));
    const std::uint32_t mine = *reinterpret_cast<const std::uint32_t*>(key);
    g_trace.said = hash.remove(0, &mine);
    g_trace.calls++;
    return 0;
}

std::uint64_t belongs_to_nobody(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;
}

bool wait_for_calls(std::uint32_t calls) {
    for (int i = 0; i < 2000 && g_trace.calls < calls; ++i) {
        std::this_thread::sleep_for(milliseconds(5));
    }
    return g_trace.calls == calls;
}

class Timers : public testing::TestWithParam<MapType> {
  protected:
    void SetUp() override {
        clear_trace();
        ASSERT_TRUE(timers::start_service());
        program_ = new_program();
        map_ = new_map();
        map_->add_user();
    }

    void TearDown() override {
        if (map_ != nullptr) {
            map_->drop_user();
        }
    }

    static std::shared_ptr<LoadedProgram> new_program() {
        auto program = std::make_shared<LoadedProgram>();
        std::vector<std::uint64_t> addresses;
        for (const Native callback : {leaves_traces, goes_on, cancels_itself, deletes_itself}) {
            addresses.push_back(reinterpret_cast<std::uintptr_t>(callback));
        }
        program->timer_callbacks = std::make_unique<CallbackOwner>(program, addresses);
        return program;
    }

    static std::shared_ptr<Map> new_map(MapType type) {
        MapSpec spec{
            .type = type, .key_size = 4, .value_size = 32, .max_entries = 4, .name = "timed"};
        spec.has_btf = true;
        spec.fields = {{.kind = SpecialKind::timer, .offset = kField, .size = 16}};
        auto map = create(spec);
        EXPECT_TRUE(map) << map.error().message;
        return *map;
    }

    [[nodiscard]] std::shared_ptr<Map> new_map() const { return new_map(GetParam()); }

    std::uint8_t* value(std::uint32_t key) {
        const std::vector<std::uint8_t> fresh(32, 0xee);
        EXPECT_EQ(map_->update(&key, fresh.data(), kAny), 0);
        return GetParam() == MapType::array ? static_cast<ArrayMap&>(*map_).value(key)
                                            : static_cast<HashMap&>(*map_).value(&key);
    }

    int init(std::uint8_t* at, std::int32_t clock = CLOCK_MONOTONIC) {
        return map_->timers()->init(at + kField, clock);
    }

    std::shared_ptr<LoadedProgram> program_;
    std::shared_ptr<Map> map_;
};

TEST_P(Timers, EveryStateSaysWhatTheKernelSays) {
    std::uint8_t* const at = value(2);
    std::uint8_t* const field = at + kField;
    EXPECT_EQ(timers::set_callback(field, leaves_traces), -EINVAL);
    EXPECT_EQ(timers::start(field, 0, 0, 0), -EINVAL);
    EXPECT_EQ(timers::cancel(field), -EINVAL);
    ASSERT_EQ(init(at), 0);
    EXPECT_EQ(init(at), -EBUSY);
    EXPECT_EQ(timers::start(field, 0, 0, 0), -EINVAL) << "without a callback";
    EXPECT_EQ(timers::set_callback(field, belongs_to_nobody), -ENOENT);
    ASSERT_EQ(timers::set_callback(field, leaves_traces), 0);
    EXPECT_EQ(timers::start(field, 0, 4, 0), -EINVAL);
    ASSERT_EQ(timers::start(field, kMs, 0, 0), 0);
    ASSERT_TRUE(wait_for_calls(1));
    EXPECT_EQ(g_trace.key, 2U);
    EXPECT_EQ(g_trace.value, reinterpret_cast<std::uintptr_t>(at));
    ASSERT_EQ(timers::start(field, kNever, 0, 0), 0);
    EXPECT_EQ(timers::cancel(field), 1);
    EXPECT_EQ(timers::cancel(field), 0);
    EXPECT_EQ(timers::start(field, 0, 0, 0), -EINVAL) << "cancelling took the callback";
}

TEST_P(Timers, LaterStartsReplaceEarlierOnes) {
    std::uint8_t* const at = value(1);
    std::uint8_t* const field = at + kField;
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(field, leaves_traces), 0);
    for (int i = 0; i < 3000; ++i) {
        ASSERT_EQ(timers::start(field, kNever - static_cast<std::uint64_t>(i), 0, 0), 0);
    }
    ASSERT_EQ(timers::start(field, 0, timers::kPinned, 0), 0);
    ASSERT_TRUE(wait_for_calls(1));
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_EQ(g_trace.calls, 1U);
    // What is over is due at once, also by a clock that runs elsewhere.
    ASSERT_EQ(timers::start(field, 1, timers::kAbsolute, 0), 0);
    ASSERT_TRUE(wait_for_calls(2));
    ASSERT_EQ(timers::start(field, ~std::uint64_t{0}, 0, 0), 0);
    ASSERT_TRUE(wait_for_calls(3));
}

TEST_P(Timers, OrderIsThatOfExpiry) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::uint8_t*> fields;
    for (std::uint32_t key = 0; key < 3; ++key) {
        std::uint8_t* const at = value(key);
        ASSERT_EQ(init(at, key == 0 ? CLOCK_REALTIME : CLOCK_BOOTTIME), 0);
        ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
        fields.push_back(at + kField);
    }
    ASSERT_EQ(timers::start(fields[2], 60 * kMs, 0, 0), 0);
    ASSERT_EQ(timers::start(fields[0], 20 * kMs, 0, 0), 0);
    ASSERT_EQ(timers::start(fields[1], 40 * kMs, 0, 0), 0);
    ASSERT_TRUE(wait_for_calls(3));
    EXPECT_EQ(g_trace.key, 2U);
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(60));
}

TEST_P(Timers, CallbacksMayArmThemselvesButNotWaitForThemselves) {
    std::uint8_t* const at = value(3);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, goes_on), 0);
    ASSERT_EQ(timers::start(at + kField, 0, 0, 0), 0);
    ASSERT_TRUE(wait_for_calls(5));
    EXPECT_EQ(g_trace.said, 0);
    clear_trace();
    ASSERT_EQ(timers::set_callback(at + kField, cancels_itself), 0);
    ASSERT_EQ(timers::start(at + kField, 0, 0, 0), 0);
    ASSERT_TRUE(wait_for_calls(1));
    EXPECT_EQ(g_trace.said, -EDEADLK);
}

TEST_P(Timers, CancellingWaitsForACallbackThatRuns) {
    std::uint8_t* const at = value(3);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
    g_trace.holds = true;
    ASSERT_EQ(timers::start(at + kField, 0, 0, 0), 0);
    while (!g_trace.is_inside) {
        std::this_thread::yield();
    }
    std::atomic<bool> is_back{false};
    std::thread canceller([&] {
        EXPECT_EQ(timers::cancel(at + kField), 0);
        EXPECT_EQ(g_trace.calls, 1U);
        is_back = true;
    });
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_FALSE(is_back);
    g_trace.holds = false;
    canceller.join();
}

TEST_P(Timers, EndWithTheirElement) {
    std::uint8_t* at = value(1);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
    ASSERT_EQ(timers::start(at + kField, 30 * kMs, 0, 0), 0);
    at = value(1);  // a write ends it
    EXPECT_EQ(timers::cancel(at + kField), -EINVAL);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
    const bool is_hash = GetParam() != MapType::array;
    if (is_hash) {
        ASSERT_EQ(timers::start(at + kField, 30 * kMs, 0, 0), 0);
        const std::uint32_t key = 1;
        ASSERT_EQ(map_->erase(&key), 0);
    }
    std::this_thread::sleep_for(milliseconds(80));
    EXPECT_EQ(g_trace.calls, 0U);
    if (is_hash) {
        at = value(2);
        ASSERT_EQ(init(at), 0);
        ASSERT_EQ(timers::set_callback(at + kField, deletes_itself), 0);
        ASSERT_EQ(timers::start(at + kField, 0, 0, 0), 0);
        ASSERT_TRUE(wait_for_calls(1));
        EXPECT_EQ(g_trace.said, 0);
    }
}

TEST_P(Timers, AreOfTheirOwnMapOnly) {
    std::uint8_t* const at = value(1);
    const auto other = new_map();
    other->add_user();
    EXPECT_EQ(other->timers()->init(at + kField, CLOCK_MONOTONIC), -EINVAL);
    EXPECT_EQ(map_->timers()->init(at + kField + 1, CLOCK_MONOTONIC), -EINVAL);
    EXPECT_EQ(init(at), 0);
}

TEST_P(Timers, EndWithTheLastUserOfTheMap) {
    std::uint8_t* const at = value(0);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
    ASSERT_EQ(timers::start(at + kField, 30 * kMs, 0, 0), 0);
    map_->drop_user();
    EXPECT_EQ(timers::cancel(at + kField), -EINVAL);
    EXPECT_EQ(init(at), -EPERM);
    std::this_thread::sleep_for(milliseconds(80));
    EXPECT_EQ(g_trace.calls, 0U);
    map_->add_user();
    EXPECT_EQ(init(at), 0);
}

TEST_P(Timers, KeepTheProgramOfTheirCallback) {
    std::uint8_t* const at = value(0);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
    ASSERT_EQ(timers::start(at + kField, 10 * kMs, 0, 0), 0);
    const std::weak_ptr<LoadedProgram> program = program_;
    program_.reset();
    EXPECT_FALSE(program.expired());
    ASSERT_TRUE(wait_for_calls(1));
    EXPECT_FALSE(program.expired()) << "it may be started again";
    EXPECT_EQ(timers::cancel(at + kField), 0);
    for (int i = 0; i < 1000 && !program.expired(); ++i) {
        std::this_thread::sleep_for(milliseconds(5));
    }
    EXPECT_TRUE(program.expired());
    EXPECT_EQ(timers::set_callback(at + kField, leaves_traces), -ENOENT);
}

/// The circle of a program, its map and the timer in it, without anybody outside.
TEST_P(Timers, CirclesEnd) {
    std::uint8_t* const at = value(0);
    ASSERT_EQ(init(at), 0);
    ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
    ASSERT_EQ(timers::start(at + kField, kNever, 0, 0), 0);
    program_->program.maps.push_back(map_);
    const std::weak_ptr<LoadedProgram> program = program_;
    const std::weak_ptr<Map> map = map_;
    program_.reset();
    map_->drop_user();
    map_.reset();
    for (int i = 0; i < 1000 && !map.expired(); ++i) {
        std::this_thread::sleep_for(milliseconds(5));
    }
    EXPECT_TRUE(program.expired());
    EXPECT_TRUE(map.expired());
}

INSTANTIATE_TEST_SUITE_P(MapTypes,
                         Timers,
                         testing::Values(MapType::array, MapType::hash, MapType::lru_hash),
                         [](const auto& of) {
                             return of.param == MapType::array  ? "array"
                                    : of.param == MapType::hash ? "hash"
                                                                : "lru_hash";
                         });

TEST(TimersOfOneMap, ManyThreadsLoseNothing) {
    clear_trace();
    ASSERT_TRUE(timers::start_service());
    const auto program = std::make_shared<LoadedProgram>();
    program->timer_callbacks = std::make_unique<CallbackOwner>(
        program, std::vector<std::uint64_t>{reinterpret_cast<std::uintptr_t>(&leaves_traces)});
    MapSpec spec{.type = MapType::array,
                 .key_size = 4,
                 .value_size = 32,
                 .max_entries = 64,
                 .name = "timed"};
    spec.has_btf = true;
    spec.fields = {{.kind = SpecialKind::timer, .offset = kField, .size = 16}};
    const auto map = *create(spec);
    map->add_user();
    auto& array = static_cast<ArrayMap&>(*map);
    std::vector<std::thread> threads;
    for (std::uint32_t thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (std::uint32_t i = 0; i < 4000; ++i) {
                std::uint8_t* const at = array.value((i * 7 + thread) % 64);
                (void)map->timers()->init(at + kField, CLOCK_MONOTONIC);
                (void)timers::set_callback(at + kField, leaves_traces);
                (void)timers::start(at + kField, i % 3 * 50'000, i % 5 == 0 ? timers::kPinned : 0,
                                    0);
                if (i % 11 == 0) {
                    (void)timers::cancel(at + kField);
                }
                if (i % 17 == 0) {
                    map->timers()->drop(at);
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    // One more expiry of each: none has been lost.
    std::this_thread::sleep_for(milliseconds(20));
    for (std::uint32_t i = 0; i < 64; ++i) {
        std::uint8_t* const at = array.value(i);
        const int code = map->timers()->init(at + kField, CLOCK_MONOTONIC);
        ASSERT_TRUE(code == 0 || code == -EBUSY);
        (void)timers::cancel(at + kField);
    }
    g_trace.calls = 0;
    for (std::uint32_t i = 0; i < 64; ++i) {
        std::uint8_t* const at = array.value(i);
        ASSERT_EQ(timers::set_callback(at + kField, leaves_traces), 0);
        ASSERT_EQ(timers::start(at + kField, kMs, 0, 0), 0);
    }
    EXPECT_TRUE(wait_for_calls(64));
    map->drop_user();
}

// A program may keep the address of a value whose element is given to another one meanwhile.
TEST(TimersOfOneMap, OldAddressesBesideUpdatesNeverMakeHalfATimer) {
    ASSERT_TRUE(timers::start_service());
    MapSpec spec{
        .type = MapType::hash, .key_size = 4, .value_size = 32, .max_entries = 1, .name = "timed"};
    spec.has_btf = true;
    spec.fields = {{.kind = SpecialKind::timer, .offset = kField, .size = 16}};
    const auto map = *create(spec);
    map->add_user();
    const std::uint32_t key = 1;
    const std::vector<std::uint8_t> fresh(32, 0xee);
    std::vector<std::uint8_t*> addresses;  // the element and the spare one take turns
    for (int i = 0; i < 8; ++i) {
        ASSERT_EQ(map->update(&key, fresh.data(), kAny), 0);
        addresses.push_back(static_cast<HashMap&>(*map).value(&key));
    }
    std::atomic<bool> ends{false};
    std::thread updates([&] {
        while (!ends) {
            (void)map->update(&key, fresh.data(), kAny);
        }
    });
    const auto until = std::chrono::steady_clock::now() + milliseconds(400);
    while (std::chrono::steady_clock::now() < until) {
        for (std::uint8_t* const at : addresses) {
            (void)map->timers()->init(at + kField, CLOCK_MONOTONIC);
            (void)timers::start(at + kField, kNever, 0, 0);
        }
    }
    ends = true;
    updates.join();
    map->drop_user();
}

}  // namespace
}  // namespace crema::ebpf::maps
