// SPDX-License-Identifier: BSD-3-Clause
//
// A modelled port with rings in mapped memory, driven by raw register accesses the way the
// hardware page prescribes (sections 5.2-5.4). Tests of the model only: shares nothing with the
// driver but the chip's numbers.
#pragma once

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include "drivers/model/neta/checksum.h"
#include "drivers/model/neta/model.h"
#include "lib/neta/descriptors.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {

using Bytes = std::vector<std::uint8_t>;

struct PortOptions {
    std::string wire = "loop";
    std::string engine = "inline";
    std::string instance = "net_neta0";
    std::string variant{};
    std::string clock{};
    std::uint32_t rx_descriptors = 64;
    std::uint32_t tx_descriptors = 64;
    std::uint32_t buffer_bytes = 2048;
    std::uint32_t packet_offset = 0;  // bytes
    std::uint32_t queues = 1;
    const vfio::DmaReach* reach = nullptr;  // instead of test_space()
};

inline vfio::DmaSpace& test_space() {
    static vfio::DmaSpace space;
    return space;
}

class Port {
  public:
    explicit Port(PortOptions options = {}) : options_(std::move(options)) {
        auto made = NetaModel::create(options_.reach != nullptr ? *options_.reach : test_space(),
                                      {.instance = options_.instance,
                                       .wire = options_.wire,
                                       .engine = options_.engine,
                                       .variant = options_.variant,
                                       .clock = options_.clock});
        if (!made) {
            ADD_FAILURE() << made.error().message;
            std::abort();
        }
        device = std::move(*made);
        const std::size_t rings =
            std::size_t{options_.queues} * (options_.rx_descriptors + options_.tx_descriptors) * 32;
        const std::size_t buffers = std::size_t{options_.queues} *
                                    (options_.rx_descriptors + options_.tx_descriptors) *
                                    options_.buffer_bytes;
        bytes_ = (rings + buffers + 4095) & ~std::size_t{4095};
        memory_ = static_cast<std::uint8_t*>(std::aligned_alloc(4096, bytes_));
        std::memset(memory_, 0, bytes_);
        const auto mapped = test_space().map(memory_, bytes_);
        if (!mapped) {
            ADD_FAILURE() << mapped.error().message;
            std::abort();
        }
        iova_ = *mapped;
    }

    ~Port() {
        device.reset();
        EXPECT_TRUE(test_space().unmap(memory_).has_value());
        std::free(memory_);
    }

    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] std::uint32_t read(std::uint32_t offset) const {
        return device->registers().read(offset);
    }

    void write(std::uint32_t offset, std::uint32_t value) const {
        device->registers().write(offset, value);
    }

    // Rings and buffers of queue q; RX first, then TX, then the buffers in the same order.
    [[nodiscard]] RxDescriptor* rx_ring(unsigned q) const {
        return reinterpret_cast<RxDescriptor*>(memory_ + rx_ring_at(q));
    }

    [[nodiscard]] TxDescriptor* tx_ring(unsigned q) const {
        return reinterpret_cast<TxDescriptor*>(memory_ + tx_ring_at(q));
    }

    [[nodiscard]] std::uint8_t* rx_buffer(unsigned q, std::uint32_t i) const {
        return memory_ + rx_buffer_at(q, i);
    }

    [[nodiscard]] std::uint8_t* tx_buffer(unsigned q, std::uint32_t i) const {
        return memory_ + tx_buffer_at(q, i);
    }

    [[nodiscard]] std::uint32_t iova_of(const void* at) const { return test_space().iova_of(at); }

    // 5.2, the parts a model can tell apart.
    void initialise() const {
        write(kRxqCmd, 0xff00);
        write(kTxqCmd, 0xff00);
        write(kGmacCtrl0, read(kGmacCtrl0) & ~kGmacCtrl0PortEn);
        for (unsigned w = 0; w < kWindows; ++w) {
            write(win_base(w), 0);
            write(win_size(w), 0);
        }
        for (unsigned w = 0; w < kWindowRemaps; ++w) {
            write(win_remap(w), 0);
        }
        write(win_size(0), kWinSizeFull);
        write(kBaseAddrEnable, kBaseAddrEnableWindow0);
        write(kAccessProtect, kAccessProtectWindow0);
        for (const auto cause : {kIntrNewCause, kIntrOldCause, kIntrMiscCause}) {
            write(cause, 0);
            write(cause + 4, 0);
        }
        write(kMbusRetry, kMbusRetryCycles);
        write(kGmacCtrl2, (read(kGmacCtrl2) & ~kGmacCtrl2PortReset) | kGmacCtrl2RgmiiEn);
        write(cpu_map(0), kCpuMapAll);
        write(kRxReset, 1);
        write(kTxReset, 1);
        write(kTxReset, 0);
        write(kRxReset, 0);
        write(kAccMode, kAccModeEnhanced);
        write(kPortConfig, port_config_default(0));
        write(kPortConfigExt, 0);
        write(kRxMinFrame, kRxMinFrameDefault);
        write(kSdmaConfig, kSdmaConfigLittleEndian);
        for (std::uint32_t offset = kDaSpecialMcast; offset < kDaUnicast + kDaUnicastEntries;
             offset += 4) {
            write(offset, 0);
        }
        write(kIntrEnable, kIntrEnableAll);
        write(kUnitCause, 0);
    }

    void set_up_queue(unsigned q) const {
        write(rxq_base(q), iova_ + static_cast<std::uint32_t>(rx_ring_at(q)));
        write(rxq_size(q), kRxqSizeBufSize.of(options_.buffer_bytes / 8) |
                               kRxqSizeDescNum.of(options_.rx_descriptors));
        write(rxq_config(q), kRxqConfigPktOffset.of(options_.packet_offset / 8));
        for (std::uint32_t i = 0; i < options_.rx_descriptors; ++i) {
            rx_ring(q)[i] = {};
            rx_ring(q)[i].buf_addr = iova_of(rx_buffer(q, i));
            rx_ring(q)[i].cookie = 0xc0000000U + i;
        }
        write(txq_base(q), iova_ + static_cast<std::uint32_t>(tx_ring_at(q)));
        write(txq_size(q), kTxqSizeDescNum.of(options_.tx_descriptors));
    }

    void give_rx(unsigned q, std::uint32_t count) const {
        while (count > 0) {
            const std::uint32_t part = std::min(count, kUpdateMax);
            write(rxq_status_update(q), kRxqUpdateNew.of(part));
            count -= part;
        }
    }

    void link_up() const {
        write(kGmacAutoneg,
              (read(kGmacAutoneg) & ~kGmacAutonegForceClear) | kGmacAutonegForce1000Full);
    }

    // Everything up to running queues with full RX rings.
    void start(std::uint32_t max_wire = 1522) const {
        initialise();
        for (unsigned q = 0; q < options_.queues; ++q) {
            set_up_queue(q);
            give_rx(q, options_.rx_descriptors);
        }
        write(kGmacCtrl0, kGmacCtrl0MibEn | kGmacCtrl0MaxRxSize.of(max_wire / 2));
        write(kGmacCtrl0, read(kGmacCtrl0) | kGmacCtrl0PortEn);
        link_up();
        const std::uint32_t map = (1U << options_.queues) - 1;
        write(kTxqCmd, map);
        write(kRxqCmd, map);
    }

    void promiscuous() const { write(kPortConfig, read(kPortConfig) | kPortConfigUpm); }

    // One single-buffer frame on TX queue q; the slot is the caller's.
    void post(unsigned q,
              std::uint32_t slot,
              const Bytes& frame,
              std::uint32_t command = kTxSingle) const {
        std::memcpy(tx_buffer(q, slot), frame.data(), frame.size());
        TxDescriptor& descriptor = tx_ring(q)[slot];
        descriptor = {};
        descriptor.command = command;
        descriptor.data_size = static_cast<std::uint16_t>(frame.size());
        descriptor.buf_addr = iova_of(tx_buffer(q, slot));
    }

    void send(const Bytes& frame, std::uint32_t command = kTxSingle) {
        post(0, tx_slot_, frame, command);
        tx_slot_ = (tx_slot_ + 1) % options_.tx_descriptors;
        write(txq_update(0), kTxqUpdateAddPending.of(1));
        const std::uint32_t sent = kTxqStatusSent.get(read(txq_status(0)));
        write(txq_update(0), kTxqUpdateDecSent.of(sent));
    }

    [[nodiscard]] std::uint32_t occupied(unsigned q) const {
        return kRxqStatusOccupied.get(read(rxq_status(q)));
    }

    std::unique_ptr<NetaModel> device;

  private:
    [[nodiscard]] std::size_t rx_ring_at(unsigned q) const {
        return std::size_t{q} * options_.rx_descriptors * 32;
    }

    [[nodiscard]] std::size_t tx_ring_at(unsigned q) const {
        return (std::size_t{options_.queues} * options_.rx_descriptors +
                std::size_t{q} * options_.tx_descriptors) *
               32;
    }

    [[nodiscard]] std::size_t rx_buffer_at(unsigned q, std::uint32_t i) const {
        return tx_ring_at(options_.queues) +
               (std::size_t{q} * options_.rx_descriptors + i) * options_.buffer_bytes;
    }

    [[nodiscard]] std::size_t tx_buffer_at(unsigned q, std::uint32_t i) const {
        return rx_buffer_at(options_.queues, 0) +
               (std::size_t{q} * options_.tx_descriptors + i) * options_.buffer_bytes;
    }

    PortOptions options_;
    std::uint8_t* memory_ = nullptr;
    std::size_t bytes_ = 0;
    std::uint32_t iova_ = 0;
    std::uint32_t tx_slot_ = 0;
};

inline const Bytes broadcast(6, 0xff);

// Ethernet frame of `bytes` (no FCS) with counting payload.
inline Bytes make_frame(const Bytes& da, std::uint16_t type, std::size_t bytes = 60) {
    Bytes frame(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        frame[i] = static_cast<std::uint8_t>(i);
    }
    std::copy(da.begin(), da.end(), frame.begin());
    const Bytes sa{0x02, 0, 0, 0, 0, 0x99};
    std::copy(sa.begin(), sa.end(), frame.begin() + 6);
    frame[12] = static_cast<std::uint8_t>(type >> 8U);
    frame[13] = static_cast<std::uint8_t>(type);
    return frame;
}

// IPv4 frame with right checksums. vlan: priority of a tag, or -1.
inline Bytes make_ipv4(const Bytes& da,
                       std::uint8_t protocol,
                       std::size_t payload = 20,
                       int vlan = -1,
                       std::uint8_t tos = 0) {
    const std::size_t l3 = vlan < 0 ? 14 : 18;
    const std::size_t l4_bytes = (protocol == 6 ? 20 : 8) + payload;
    Bytes frame = make_frame(da, vlan < 0 ? 0x0800 : 0x8100, l3 + 20 + l4_bytes);
    if (vlan >= 0) {
        frame[14] = static_cast<std::uint8_t>(vlan << 5);
        frame[15] = 7;
        frame[16] = 0x08;
        frame[17] = 0x00;
    }
    std::uint8_t* const ip = &frame[l3];
    std::memset(ip, 0, 20);
    ip[0] = 0x45;
    ip[1] = tos;
    ip[2] = static_cast<std::uint8_t>((20 + l4_bytes) >> 8U);
    ip[3] = static_cast<std::uint8_t>(20 + l4_bytes);
    ip[8] = 64;
    ip[9] = protocol;
    ip[12] = 10;
    ip[15] = 1;
    ip[16] = 10;
    ip[19] = 2;
    auto put = [](std::uint8_t* at, std::uint64_t sum) {
        const auto value = static_cast<std::uint16_t>(~fold_sum(sum));
        std::memcpy(at, &value, 2);
    };
    put(ip + 10, sum_bytes(ip, 20));
    std::uint8_t* const l4 = ip + 20;
    std::uint8_t* field = l4 + 16;
    if (protocol == 17) {
        l4[4] = static_cast<std::uint8_t>(l4_bytes >> 8U);
        l4[5] = static_cast<std::uint8_t>(l4_bytes);
        field = l4 + 6;
    } else if (protocol == 6) {
        l4[12] = 0x50;
    } else {
        return frame;
    }
    std::memset(field, 0, 2);
    auto sum = sum_number(protocol, sum_bytes(ip + 12, 8));
    sum = sum_number(static_cast<std::uint16_t>(l4_bytes), sum);
    put(field, sum_bytes(l4, l4_bytes, sum));
    return frame;
}

}  // namespace crema::neta::model
