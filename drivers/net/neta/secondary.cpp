// SPDX-License-Identifier: BSD-3-Clause
//
// See secondary.h. A secondary's own part: the operations, and the asking.
#include "drivers/net/neta/secondary.h"

#include <cerrno>
#include <cstring>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <span>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

namespace crema::neta_pmd {
namespace {

/// The first answer of `reply`, with its file; -1 where it has none.
struct Received {
    Answer answer;
    int file = -1;
};

Received take_answer(const struct rte_mp_reply& reply) {
    Received received{.answer = {.result = -EPROTO}};
    for (int i = 0; i < reply.nb_received; ++i) {
        const rte_mp_msg& message = reply.msgs[i];
        for (int file = 0; file < message.num_fds; ++file) {
            if (i == 0 && file == 0) {
                received.file = message.fds[0];
            } else {
                ::close(message.fds[file]);
            }
        }
        if (i == 0 && message.len_param == sizeof(Answer)) {
            std::memcpy(&received.answer, &message.param[0], sizeof(Answer));
        }
    }
    return received;
}

/// Asks the primary. A body lands in `body` where it fits; returns what the operation returned, or
/// an error of the way.
int ask(const rte_eth_dev* ethdev, Question what, std::span<std::byte> body) {
    rte_mp_msg message{};
    rte_strscpy(&message.name[0], kAnswersName, sizeof(message.name));
    const Ask question{.what = what, .port_id = ethdev->data->port_id};
    message.len_param = sizeof(question);
    std::memcpy(&message.param[0], &question, sizeof(question));
    const timespec patience{.tv_sec = kAnswerSeconds, .tv_nsec = 0};

    struct rte_mp_reply reply {};  // a function has the same name

    if (rte_mp_request_sync(&message, &reply, &patience) != 0) {
        return rte_errno != 0 ? -rte_errno : -EIO;
    }
    const Received received = take_answer(reply);
    std::free(reply.msgs);  // NOLINT(cppcoreguidelines-no-malloc): the EAL's, by malloc
    int result = reply.nb_received == 0 ? -ENOLINK : received.answer.result;
    if (received.file >= 0) {
        struct stat about {};

        const bool fits = ::fstat(received.file, &about) == 0 && about.st_size >= 0 &&
                          static_cast<std::size_t>(about.st_size) <= body.size();
        if (result >= 0 && fits &&
            ::pread(received.file, body.data(), static_cast<std::size_t>(about.st_size), 0) !=
                about.st_size) {
            result = -EIO;
        }
        ::close(received.file);
    }
    return result;
}

int info(rte_eth_dev* ethdev, rte_eth_dev_info* info) {
    limits_of_any_port(*info);
    info->device = ethdev->device;
    return ask(ethdev, Question::speeds, std::as_writable_bytes(std::span(&info->speed_capa, 1)));
}

int stats_get(rte_eth_dev* ethdev, rte_eth_stats* stats) {
    return ask(ethdev, Question::stats, std::as_writable_bytes(std::span(stats, 1)));
}

int stats_reset(rte_eth_dev* ethdev) {
    return ask(ethdev, Question::stats_reset, {});
}

int xstats_get(rte_eth_dev* ethdev, rte_eth_xstat* stats, unsigned room) {
    return ask(ethdev, Question::xstats,
               std::as_writable_bytes(std::span(stats, stats == nullptr ? 0 : room)));
}

int xstats_get_names(rte_eth_dev* ethdev, rte_eth_xstat_name* names, unsigned room) {
    return ask(ethdev, Question::xstat_names,
               std::as_writable_bytes(std::span(names, names == nullptr ? 0 : room)));
}

int xstats_reset(rte_eth_dev* ethdev) {
    return ask(ethdev, Question::xstats_reset, {});
}

/// The primary keeps the link where all processes see it.
int link_update(rte_eth_dev* /*ethdev*/, int /*wait*/) {
    return 0;
}

/// The port stays with the primary.
int close(rte_eth_dev* /*ethdev*/) {
    return 0;
}

std::uint16_t no_frames(void* /*queue*/, rte_mbuf** /*mbufs*/, std::uint16_t /*n*/) {
    return 0;
}

const eth_dev_ops& secondary_ops() {
    static const eth_dev_ops ops_table = [] {
        eth_dev_ops ops{};
        ops.dev_infos_get = info;
        ops.link_update = link_update;
        ops.dev_close = close;
        ops.stats_get = stats_get;
        ops.stats_reset = stats_reset;
        ops.xstats_get = xstats_get;
        ops.xstats_get_names = xstats_get_names;
        ops.xstats_reset = xstats_reset;
        return ops;
    }();
    return ops_table;
}

}  // namespace

Status secondary_attach(rte_vdev_device* vdev) {
    const char* name = rte_vdev_device_name(vdev);
    rte_eth_dev* ethdev = rte_eth_dev_attach_secondary(name);
    if (ethdev == nullptr) {
        return fail(ENODEV, "{}: the primary process has no such port", name);
    }
    ethdev->device = &vdev->device;
    ethdev->dev_ops = &secondary_ops();
    ethdev->rx_pkt_burst = no_frames;
    ethdev->tx_pkt_burst = no_frames;
    rte_eth_dev_probing_finish(ethdev);
    return {};
}

}  // namespace crema::neta_pmd
