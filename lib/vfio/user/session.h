// SPDX-License-Identifier: BSD-3-Clause
//
// The server's side of one client: every command is checked and answered here, without sockets, so
// that a fuzzer can say anything to it. A wrong command gets an error and changes nothing.
//
// The device: region 0 is the register block, interrupt 0 its line, level and masked by itself
// after each event. Plain: nothing else. PCI: the same as BAR 0 and INTx, and a configuration
// space. Does not serve: mapped regions (every register has side effects), DMA by messages,
// migration, dirty logging.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/vfio/device.h"
#include "lib/vfio/user/channel.h"
#include "lib/vfio/user/guest_memory.h"
#include "lib/vfio/user/pci_config.h"
#include "lib/vfio/user/protocol.h"

namespace crema::vfio::user {

enum class Flavour : std::uint8_t { plain, pci };

class Session {
  public:
    using In = std::span<const std::uint8_t>;
    using Out = std::vector<std::uint8_t>;

    /// Whoever ends a session power-cycles the model and clears the memory.
    Session(Servable& model, GuestMemory& memory, Flavour flavour);

    /// Serves one command; `reply` becomes the payload of the answer. Returns 0 or an errno value.
    [[nodiscard]] int handle(Command command, In payload, Fds& fds, Out& reply);

    /// Fires the interrupt when the line is up and nobody was told.
    void update_interrupt();

    struct Counts {
        std::uint64_t register_reads = 0;
        std::uint64_t register_writes = 0;
        std::uint64_t interrupts = 0;
        std::uint64_t refused = 0;
    };

    [[nodiscard]] const Counts& counts() const { return counts_; }

  private:
    int serve(Command command, In payload, Fds& fds, Out& reply);
    int version(In payload, const Fds& fds, Out& reply);
    int dma_map(In payload, Fds& fds);
    int dma_unmap(In payload, Out& reply);
    int device_info(In payload, Out& reply) const;
    int region_info(In payload, Out& reply) const;
    int region_io_fds(In payload, Out& reply) const;
    int irq_info(In payload, Out& reply) const;
    int set_irqs(In payload, Fds& fds);
    int set_trigger(std::uint32_t data, std::uint32_t count, bool fire, Fds& fds);
    int region_read(In payload, Out& reply);
    int region_write(In payload, Out& reply);
    int reset();

    [[nodiscard]] std::uint32_t regions() const;
    [[nodiscard]] std::uint32_t irqs() const;
    [[nodiscard]] std::uint32_t region_bytes(std::uint32_t index) const;
    void read_registers(std::uint32_t offset, std::span<std::uint8_t> out);
    void write_registers(std::uint32_t offset, In in);
    void raise();

    Servable& model_;
    GuestMemory& memory_;
    Flavour flavour_;
    bool negotiated_ = false;
    PciConfig config_;
    UniqueFd line_;  // the client's eventfd
    bool masked_ = false;
    Counts counts_;
};

}  // namespace crema::vfio::user
