// SPDX-License-Identifier: BSD-3-Clause
//
// See secondary.h. The primary's part: a thread of the EAL brings the questions of secondaries,
// while the application's control threads go on. What they take away, they take under
// answers_hold(); ports on offer are those that have all an answer reads.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "drivers/net/neta/secondary.h"
#include "lib/base/log.h"

namespace crema::neta_pmd {
namespace {

struct Offer {
    std::recursive_mutex lock;  // an answer runs the port's own operations, which may hold it
    std::vector<Port*> ports;
    bool listening = false;
};

Offer& offer() {
    static Offer one;
    return one;
}

struct Reply {
    int result = 0;
    std::vector<std::byte> body{};
};

template <typename T>
void append(std::vector<std::byte>& body, std::span<const T> values) {
    const auto bytes = std::as_bytes(values);
    body.insert(body.end(), bytes.begin(), bytes.end());
}

/// A list as the operation `get` makes it, when it is asked for with the room it wants.
template <typename T>
Reply list_of(rte_eth_dev* ethdev, int (*get)(rte_eth_dev*, T*, unsigned)) {
    Reply reply{.result = get(ethdev, nullptr, 0)};
    if (reply.result <= 0) {
        return reply;
    }
    std::vector<T> list(static_cast<std::size_t>(reply.result));
    reply.result = get(ethdev, list.data(), static_cast<unsigned>(list.size()));
    append(reply.body, std::span<const T>(list));
    return reply;
}

Reply reply_to(rte_eth_dev* ethdev, Question what) {
    const eth_dev_ops& ops = device_ops();
    switch (what) {
        case Question::speeds: {
            rte_eth_dev_info info{};
            Reply reply{.result = ops.dev_infos_get(ethdev, &info)};
            append(reply.body, std::span<const std::uint32_t>(&info.speed_capa, 1));
            return reply;
        }
        case Question::stats: {
            rte_eth_stats stats{};
            Reply reply{.result = ops.stats_get(ethdev, &stats)};
            append(reply.body, std::span<const rte_eth_stats>(&stats, 1));
            return reply;
        }
        case Question::stats_reset:
            return {.result = ops.stats_reset(ethdev)};
        case Question::xstats:
            return list_of(ethdev, ops.xstats_get);
        case Question::xstat_names:
            return list_of(ethdev, ops.xstats_get_names);
        case Question::xstats_reset:
            return {.result = ops.xstats_reset(ethdev)};
    }
    return {.result = -ENOTSUP};  // of another version
}

Reply reply_to(const rte_mp_msg& message) {
    Ask ask;
    if (message.len_param != sizeof(ask)) {
        return {.result = -EPROTO};
    }
    std::memcpy(&ask, &message.param[0], sizeof(ask));
    const auto hold = answers_hold();
    const auto& ports = offer().ports;
    const auto port =
        std::ranges::find_if(ports, [&ask](const Port* each) { return each->id == ask.port_id; });
    return port == ports.end() ? Reply{.result = -ENODEV} : reply_to((*port)->ethdev, ask.what);
}

/// A file that holds the body, or -1.
int file_of(std::span<const std::byte> body) {
    const int file = ::memfd_create("crema-answer", MFD_CLOEXEC);
    if (file >= 0 && ::write(file, body.data(), body.size()) != static_cast<ssize_t>(body.size())) {
        ::close(file);
        return -1;
    }
    return file;
}

int answer(const rte_mp_msg* question, const void* peer) {
    const Reply reply = reply_to(*question);
    Answer result{.result = reply.result};
    rte_mp_msg message{};
    rte_strscpy(&message.name[0], kAnswersName, sizeof(message.name));
    if (!reply.body.empty()) {
        message.fds[0] = file_of(reply.body);
        message.num_fds = message.fds[0] >= 0 ? 1 : 0;
        result.result = message.fds[0] >= 0 ? reply.result : -ENOMEM;
    }
    message.len_param = sizeof(result);
    std::memcpy(&message.param[0], &result, sizeof(result));
    const int sent = rte_mp_reply(&message, static_cast<const char*>(peer));
    if (message.num_fds > 0) {
        ::close(message.fds[0]);
    }
    return sent;
}

}  // namespace

std::unique_lock<std::recursive_mutex> answers_hold() {
    return std::unique_lock(offer().lock);
}

void answers_offer(Port& port) {
    const auto hold = answers_hold();
    offer().ports.push_back(&port);
    if (!offer().listening) {
        offer().listening = rte_mp_action_register(kAnswersName, answer) == 0;
        if (!offer().listening && rte_errno != ENOTSUP) {  // without shared files: no secondaries
            log::warning("{}: secondary processes get no statistics: {}", name_of(port),
                         rte_strerror(rte_errno));
        }
    }
}

void answers_withdraw(Port& port) {
    const auto hold = answers_hold();
    std::erase(offer().ports, &port);
}

}  // namespace crema::neta_pmd
