// SPDX-License-Identifier: BSD-3-Clause
//
// The driver's entry: vdev "net_neta". Probe makes a port or fails with one line and nothing left
// behind. What registration constructors read is constinit: they run before dynamic initialisers.
#include <bus_vdev_driver.h>
#include <cerrno>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <new>

#include "drivers/net/neta/devargs.h"
#include "drivers/net/neta/port.h"
#include "drivers/net/neta/secondary.h"
#include "lib/base/log.h"
#include "lib/page_pool/retire.h"

namespace crema::neta_pmd {
namespace {

void discard(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    port_close(port);
    port.~Port();
    rte_eth_dev_release_port(ethdev);
}

Status make_port(rte_vdev_device* vdev) {
    const char* name = rte_vdev_device_name(vdev);
    auto args = parse_devargs(name, rte_vdev_device_args(vdev));
    if (!args) {
        return forward_error(args);
    }
    static_cast<void>(page_pool::reap_retired());
    rte_eth_dev* ethdev = rte_eth_vdev_allocate(vdev, sizeof(Port));
    if (ethdev == nullptr) {
        return fail(ENOMEM, "{}: no room for another port", name);
    }
    Port& port = *new (ethdev->data->dev_private) Port(std::move(*args));
    port.ethdev = ethdev;
    if (auto opened = port_open(port); !opened) {
        discard(ethdev);
        return opened;
    }
    ethdev->dev_ops = &device_ops();
    path_choose(port);
    queue_control_attach(*ethdev);
    ethdev->data->dev_flags |= RTE_ETH_DEV_INTR_LSC | RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
    for (const std::string& program : port.args.xdp) {
        if (auto attached = xdp::attach_object(port.id, program); !attached) {
            Error error = attached.error();
            error.message = fmt::format("{}: xdp={}: {}", name, program, error.message);
            discard(ethdev);
            return tl::unexpected<Error>(std::move(error));
        }
    }
    answers_offer(port);
    rte_eth_dev_probing_finish(ethdev);
    return {};
}

int probe(rte_vdev_device* vdev) {
    const bool primary = rte_eal_process_type() == RTE_PROC_PRIMARY;
    if (auto made = primary ? make_port(vdev) : secondary_attach(vdev); !made) {
        log::error("{}", made.error().message);
        return -made.error().code;
    }
    return 0;
}

int remove(rte_vdev_device* vdev) {
    rte_eth_dev* ethdev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
    if (ethdev == nullptr) {
        return 0;
    }
    if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
        return rte_eth_dev_release_port(ethdev);
    }
    if (ethdev->data->dev_started != 0) {
        rte_eth_dev_stop(ethdev->data->port_id);
    }
    return rte_eth_dev_close(ethdev->data->port_id);
}

constinit rte_vdev_driver net_neta_driver = {.next = {},
                                             .driver = {},
                                             .probe = probe,
                                             .remove = remove,
                                             .dma_map = nullptr,
                                             .dma_unmap = nullptr,
                                             .drv_flags = RTE_VDEV_DRV_NEED_IOVA_AS_VA};

}  // namespace

RTE_PMD_REGISTER_VDEV(net_neta, net_neta_driver);
RTE_PMD_REGISTER_PARAM_STRING(net_neta, CREMA_NETA_DEVARGS);

}  // namespace crema::neta_pmd
