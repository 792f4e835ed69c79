// SPDX-License-Identifier: BSD-3-Clause
//
// Requests about two ports that are a record of what was asked of them; and requests that nobody
// should send.
#include "lib/ebpf/netlink/link_requests.h"

#include <algorithm>
#include <cerrno>
#include <gtest/gtest.h>
#include <net/if.h>
#include <random>
#include <string>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/ports.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::netlink {
namespace {

constexpr std::uint32_t kFirst = 32;

std::vector<syscall::PortChange> g_changes;

struct Message {
    nlmsghdr header{};
    std::vector<std::uint8_t> body;
};

std::vector<Message> split(Bytes bytes) {
    std::vector<Message> all;
    while (const auto header = read_as<nlmsghdr>(bytes)) {
        EXPECT_LE(header->nlmsg_len, bytes.size());
        const Bytes body = bytes.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr));
        all.push_back({*header, {body.begin(), body.end()}});
        bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header->nlmsg_len), bytes.size()));
    }
    EXPECT_TRUE(bytes.empty());
    return all;
}

int error_in(const Message& message) {
    EXPECT_EQ(message.header.nlmsg_type, NLMSG_ERROR);
    return read_as<std::int32_t>(message.body).value_or(1);
}

std::string name_in(const Message& link) {
    const Attributes<IFLA_MAX + 1> attributes(Bytes(link.body).subspan(sizeof(ifinfomsg)));
    const auto name = attributes[IFLA_IFNAME];
    return name ? std::string(name->begin(), name->end() - 1) : std::string();
}

class LinkRequests : public testing::Test {
  public:
    LinkRequests(const LinkRequests&) = delete;
    LinkRequests& operator=(const LinkRequests&) = delete;

  protected:
    LinkRequests() : installed_(syscall::port_hooks()) {
        g_changes.clear();
        syscall::set_port_hooks({
            .change = [](std::uint32_t ifindex, const syscall::PortChange& change) -> Status {
                EXPECT_EQ(ifindex, kFirst + 1);
                g_changes.push_back(change);
                return g_changes.size() == 1 ? Status{} : fail(EBUSY, "taken");
            },
            .replace = [](std::uint32_t, const LoadedProgram&,
                          const std::shared_ptr<const LoadedProgram>&) { return -ENODEV; },
            .detach = [](std::uint32_t, const LoadedProgram&) {},
            .change_chain = [](std::uint32_t, const syscall::ChainChange&) -> Status {
                return fail(ENODEV, "no such port");
            },
            .list =
                [] {
                    std::vector<syscall::PortInfo> ports(2);
                    ports[0].ifindex = kFirst;
                    ports[0].name = "net_neta0";
                    ports[1].ifindex = kFirst + 1;
                    ports[1].name = "port1";
                    ports[1].alias = "0000:01:00.0";
                    ports[1].is_up = true;
                    return ports;
                },
        });
    }

    ~LinkRequests() override { syscall::set_port_hooks(installed_); }

    /// A request with the attributes that `fill` writes.
    template <typename Fill>
    static std::vector<std::uint8_t> request(std::uint16_t type,
                                             std::uint16_t flags,
                                             std::uint32_t ifindex,
                                             Fill fill) {
        Writer writer;
        writer.begin(type, NLM_F_REQUEST | flags, 7);
        ifinfomsg link{};
        link.ifi_index = static_cast<int>(ifindex);
        writer.add(link);
        fill(writer);
        return writer.take();
    }

    static std::vector<std::uint8_t> request(std::uint16_t type,
                                             std::uint16_t flags,
                                             std::uint32_t ifindex) {
        return request(type, flags, ifindex, [](Writer&) {});
    }

    static std::vector<std::uint8_t> attach(int fd, std::uint32_t flags, std::uint32_t ifindex) {
        return request(RTM_SETLINK, NLM_F_ACK, ifindex, [=](Writer& writer) {
            const auto nest = writer.open(IFLA_XDP);
            writer.number<std::int32_t>(IFLA_XDP_FD, fd);
            writer.number(IFLA_XDP_FLAGS, flags);
            writer.close(nest);
        });
    }

  private:
    syscall::PortHooks installed_;
};

TEST_F(LinkRequests, OfInterfacesOfTheMachineAreTheKernels) {
    EXPECT_EQ(answer(attach(-1, 0, 1), {}).handling, Handling::kernel);
    EXPECT_EQ(answer(request(RTM_GETLINK, 0, 1), {}).handling, Handling::kernel);
    EXPECT_EQ(answer(request(RTM_GETADDR, NLM_F_DUMP, 0), {}).handling, Handling::kernel);
    EXPECT_EQ(answer(request(RTM_DELLINK, 0, kFirst), {}).handling, Handling::kernel);
    const auto by_name =
        request(RTM_GETLINK, 0, 0, [](Writer& writer) { writer.text(IFLA_IFNAME, "lo"); });
    EXPECT_EQ(answer(by_name, {}).handling, Handling::kernel);
    const auto vlans = request(RTM_GETLINK, NLM_F_DUMP, 0,
                               [](Writer& writer) { writer.close(writer.open(IFLA_LINKINFO)); });
    EXPECT_EQ(answer(vlans, {}).handling, Handling::kernel);
    EXPECT_TRUE(g_changes.empty());
}

TEST_F(LinkRequests, ListsGetEveryPort) {
    const Answer all = answer(request(RTM_GETLINK, NLM_F_DUMP, 0), {});
    EXPECT_EQ(all.handling, Handling::before_dump);
    const auto messages = split(all.messages);
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(name_in(messages[0]), "net_neta0");
    EXPECT_EQ(name_in(messages[1]), "port1");
    for (const Message& message : messages) {
        EXPECT_EQ(message.header.nlmsg_type, RTM_NEWLINK);
        EXPECT_EQ(message.header.nlmsg_flags, NLM_F_MULTI);
        EXPECT_EQ(message.header.nlmsg_seq, 7U);
    }
    // A list asked for by the family alone.
    Writer writer;
    writer.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7);
    writer.add(rtgenmsg{.rtgen_family = AF_PACKET});
    EXPECT_EQ(split(answer(writer.take(), {}).messages).size(), 2U);
}

TEST_F(LinkRequests, PortsAreFoundByNumberNameAndAlias) {
    for (const char* name : {"port1", "0000:01:00.0"}) {
        const Answer found =
            answer(request(RTM_GETLINK, NLM_F_ACK, 0,
                           [name](Writer& writer) { writer.text(IFLA_ALT_IFNAME, name); }),
                   {});
        EXPECT_EQ(found.handling, Handling::instead);
        const auto messages = split(found.messages);
        ASSERT_EQ(messages.size(), 2U);
        EXPECT_EQ(name_in(messages[0]), "port1");
        EXPECT_EQ(error_in(messages[1]), 0);
    }
    const auto messages = split(answer(request(RTM_GETLINK, 0, kFirst), {}).messages);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(name_in(messages[0]), "net_neta0");
}

TEST_F(LinkRequests, ChangesReachThePortAndItsWordsTheCaller) {
    const syscall::Session session;
    const UniqueFd program(static_cast<int>(syscall::test::load(syscall::test::returns(2))));
    const auto asked = attach(program.get(), syscall::kSkbMode, kFirst + 1);
    const auto done = split(answer(asked, {.capped = false, .extended = true}).messages);
    ASSERT_EQ(done.size(), 1U);
    EXPECT_EQ(error_in(done[0]), 0);
    ASSERT_EQ(g_changes.size(), 1U);
    EXPECT_EQ(g_changes[0].program, syscall::program_of(program.get()));
    EXPECT_EQ(g_changes[0].flags, syscall::kSkbMode);
    const auto refused = split(answer(asked, {.capped = true, .extended = true}).messages);
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_EQ(error_in(refused[0]), -EBUSY);
    EXPECT_EQ(refused[0].header.nlmsg_flags, NLM_F_CAPPED | NLM_F_ACK_TLVS);
    const Attributes<NLMSGERR_ATTR_MAX + 1> words(Bytes(refused[0].body).subspan(sizeof(nlmsgerr)));
    ASSERT_TRUE(words.has(NLMSGERR_ATTR_MSG));
    EXPECT_EQ(std::string(words[NLMSGERR_ATTR_MSG]->begin(), words[NLMSGERR_ATTR_MSG]->end() - 1),
              "taken");
}

TEST_F(LinkRequests, WhatIsNoProgramIsRefused) {
    const auto up = [](std::uint32_t flags) {
        ifinfomsg link{};
        link.ifi_index = kFirst + 1;
        link.ifi_change = IFF_UP;
        link.ifi_flags = flags;
        Writer writer;
        writer.begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 7);
        writer.add(link);
        return writer.take();
    };
    EXPECT_EQ(error_in(split(answer(up(IFF_UP), {}).messages).at(0)), 0) << "it is up";
    EXPECT_EQ(error_in(split(answer(up(0), {}).messages).at(0)), -EOPNOTSUPP);
    const auto mtu = request(RTM_SETLINK, 0, kFirst + 1,
                             [](Writer& writer) { writer.number<std::uint32_t>(IFLA_MTU, 1400); });
    EXPECT_EQ(error_in(split(answer(mtu, {}).messages).at(0)), -EOPNOTSUPP);
    EXPECT_EQ(error_in(split(answer(attach(987, 0, kFirst + 1), {}).messages).at(0)), -EBADF);
    EXPECT_TRUE(g_changes.empty());
}

TEST_F(LinkRequests, MessagesOfAnyShapeDoNoHarm) {
    std::mt19937 random(20251129);
    const std::vector<std::vector<std::uint8_t>> seeds = {
        attach(-1, 0, kFirst + 1), request(RTM_GETLINK, NLM_F_DUMP, 0),
        request(RTM_GETLINK, 0, 0, [](Writer& writer) { writer.text(IFLA_IFNAME, "port1"); })};
    std::size_t ours = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::uint8_t> bytes = seeds[random() % seeds.size()];
        for (std::uint32_t change = random() % 4; change > 0; --change) {
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        }
        bytes.resize(random() % 3 == 0 ? random() % (bytes.size() + 1) : bytes.size());
        // A heap block of its own: what is read behind it is seen by the sanitizers.
        const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
        const Answer answered = answer(exact, {.capped = false, .extended = true});
        (void)split(answered.messages);
        ours += answered.handling != Handling::kernel ? 1U : 0U;
    }
    EXPECT_GT(ours, 1000U);
}

}  // namespace
}  // namespace crema::ebpf::netlink
