// SPDX-License-Identifier: BSD-3-Clause
//
// What both redirect tests share: ports without devices, maps, and a program that asks for the
// target that the test has set.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <optional>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/attach.h"
#include "tests/support/eal.h"
#include "tests/support/fake_port.h"
#include "tests/support/tiny_program.h"

namespace crema::redirect {

inline constexpr std::uint64_t kBroadcast = 8;
inline constexpr std::uint64_t kExcludeIngress = 16;
inline constexpr std::uint32_t kRedirectHelper = 23;
inline constexpr std::uint32_t kRedirectMapHelper = 51;

/// What the program asks for; read by every run.
struct Ask {
    ebpf::maps::Map* map = nullptr;  // null: bpf_redirect(index)
    std::uint32_t index = 0;
    std::uint64_t flags = 0;
};

inline Ask g_ask;

inline std::uint64_t ask_for_redirect(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    if (g_ask.map == nullptr) {
        return ebpf::helpers::native_for(kRedirectHelper, ebpf::maps::MapType::array)(
            g_ask.index, g_ask.flags, 0, 0, r1);
    }
    return ebpf::helpers::native_for(kRedirectMapHelper, g_ask.map->spec().type)(
        reinterpret_cast<std::uint64_t>(g_ask.map), g_ask.index, g_ask.flags, 0, r1);
}

inline std::shared_ptr<ebpf::maps::Map> make_map(ebpf::maps::MapType type, std::uint32_t entries) {
    auto map = ebpf::maps::create(
        {.type = type, .key_size = 4, .value_size = 8, .max_entries = entries, .name = "targets"});
    EXPECT_TRUE(map) << map.error().message;
    return *map;
}

/// target: ifindex or queue size. Returns what the map's update returns.
inline int set_slot(ebpf::maps::Map& map,
                    std::uint32_t key,
                    std::uint32_t target,
                    std::shared_ptr<const ebpf::LoadedProgram> program = nullptr) {
    struct {
        std::uint32_t target;
        std::int32_t fd;
    } value = {target, 0};

    std::optional<ebpf::syscall::ProgramFd> fd;
    if (program != nullptr) {
        auto opened = ebpf::syscall::ProgramFd::open(std::move(program));
        EXPECT_TRUE(opened) << opened.error().message;
        fd.emplace(std::move(*opened));
        value.fd = fd->get();
    }
    return map.update(&key, &value, ebpf::maps::kAny);
}

/// Three ports; a program on port 0 redirects as g_ask says.
class RedirectTest : public testing::Test {
  protected:
    RedirectTest() {
        g_ask = {};
        EXPECT_TRUE(xdp::attach(0, test::calling(ask_for_redirect)));
    }

    /// One burst of n frames into port 0.
    void burst(std::uint32_t n, std::uint32_t len = 64) {
        std::array<xdp::Frame, xdp::kBurstMax> frames;
        ASSERT_EQ(source_.make(frames.data(), n, len), n);
        const std::uint32_t passed = in_.run(frames.data(), n);
        EXPECT_EQ(passed, 0U);
        test::recycle(frames.data(), passed);
    }

    test::FrameSource source_{"redirect"};
    test::FakePort in_{0};
    test::FakePort out_{1};
    test::FakePort other_{2};
};

}  // namespace crema::redirect
