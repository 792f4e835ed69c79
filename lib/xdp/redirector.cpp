// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/redirector.h"

#include <cerrno>

namespace crema::xdp {
namespace {

// Until lib/redirect is there: no queues, and every redirect is an error.
constinit Redirector g_redirector = {
    .create = []() -> Outbound* { return nullptr; },
    .destroy = [](Outbound* /*outbound*/) {},
    .set_copy_pool = [](Outbound* /*outbound*/, rte_mempool* /*pool*/) {},
    .enqueue = [](Outbound* /*outbound*/,
                  const ebpf::XdpBuff& /*buff*/,
                  const Frame& /*frame*/) { return -EOPNOTSUPP; },
    .flush = [](Outbound* /*outbound*/) -> std::uint32_t { return 0; },
};

}  // namespace

void set_redirector(const Redirector& redirector) {
    g_redirector = redirector;
}

const Redirector& redirector() {
    return g_redirector;
}

}  // namespace crema::xdp
