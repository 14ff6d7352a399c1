/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware-reduced ACPI: without it Linux looks for a PIT, and gives up when there is none.
 */
#include "vmm/acpi.h"

#include <stddef.h>
#include <string.h>

#define PACKED __attribute__((packed))

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum; /* makes the sum of all bytes of the table 0 */
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of what is before `length` */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;

struct xsdt {
	struct header h;
	uint64_t fadt, madt;
} PACKED;

/* A register: "generic address structure". */
struct gas {
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} PACKED;

#define GAS_IO 1
#define GAS_BYTE 1

struct fadt {
	struct header h;
	uint32_t firmware_ctrl, dsdt;
	uint8_t unused_hardware[65]; /* of machines that are not hardware-reduced */
	uint16_t pc_flags;
	uint8_t reserved;
	uint32_t flags;
	uint8_t unused_reset[15];
	uint8_t minor_revision;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct gas unused_registers[8];
	struct gas sleep_control, sleep_status;
	uint64_t hypervisor;
} PACKED;

#define FADT_WBINVD (1U << 0)
#define FADT_NO_POWER_BUTTON (1U << 4)
#define FADT_NO_SLEEP_BUTTON (1U << 5)
#define FADT_HW_REDUCED (1U << 20)
#define FADT_NO_VGA (1U << 2)
#define FADT_NO_CMOS_RTC (1U << 5)

struct madt_lapic {
	uint8_t type, length, processor, apic;
	uint32_t flags;
} PACKED;

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, first_interrupt;
} PACKED;

#define MADT_LAPIC 0
#define MADT_LAPIC_ENABLED 1U
#define MADT_IOAPIC 1

struct madt {
	struct header h;
	uint32_t lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_lapic lapics[ACPI_MAX_VCPUS]; /* as many as there are vCPUs */
} PACKED;

/* AML: Name (_S5_, Package () { PLATFORM_S5_TYPE }) */
struct dsdt {
	struct header h;
	uint8_t aml[10];
} PACKED;

#define AML_NAME 0x08
#define AML_PACKAGE 0x12
#define AML_BYTE 0x0a

/* Each at a boundary of 64 bytes. */
struct tables {
	struct rsdp rsdp __attribute__((aligned(64)));
	struct xsdt xsdt __attribute__((aligned(64)));
	struct fadt fadt __attribute__((aligned(64)));
	struct dsdt dsdt __attribute__((aligned(64)));
	struct madt madt __attribute__((aligned(64)));
};

_Static_assert(sizeof(struct header) == 36 && sizeof(struct rsdp) == 36, "ACPI 6.1, 5.2");
_Static_assert(offsetof(struct fadt, pc_flags) == 109 && offsetof(struct fadt, flags) == 112 &&
		   offsetof(struct fadt, minor_revision) == 131 &&
		   offsetof(struct fadt, sleep_control) == 244 && sizeof(struct fadt) == 276,
    "ACPI 6.1, table 5-34");
_Static_assert(sizeof(struct tables) <= PLATFORM_ACPI_SIZE, "the tables fit into their place");
_Static_assert(PLATFORM_LAPIC_GPA <= UINT32_MAX && PLATFORM_IOAPIC_GPA <= UINT32_MAX,
    "the MADT has 32 bits for each");

static uint64_t gpa_of(size_t offset)
{
	return PLATFORM_ACPI_GPA + offset;
}

/* What has to be added to make the sum 0. */
static uint8_t checksum(const void *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

/* After this only the checksum is missing, which comes last. */
static void begin(struct header *h, const char signature[4], uint8_t revision, size_t len)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = (uint32_t)len;
	h->revision = revision;
	memcpy(h->oem_id, "LOMBRD", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "LOMBARD ", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "LMBD", sizeof(h->creator_id));
	h->creator_revision = 1;
}

static void finish(struct header *h)
{
	h->checksum = checksum(h, h->length);
}

static void build_rsdp(struct rsdp *r)
{
	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	memcpy(r->oem_id, "LOMBRD", sizeof(r->oem_id));
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = gpa_of(offsetof(struct tables, xsdt));
	r->checksum = checksum(r, offsetof(struct rsdp, length));
	r->extended_checksum = checksum(r, sizeof(*r));
}

static void build_xsdt(struct xsdt *x)
{
	begin(&x->h, "XSDT", 1, sizeof(*x));
	x->fadt = gpa_of(offsetof(struct tables, fadt));
	x->madt = gpa_of(offsetof(struct tables, madt));
	finish(&x->h);
}

static struct gas byte_port(uint16_t port)
{
	return (struct gas){
	    .space = GAS_IO, .bit_width = 8, .access_size = GAS_BYTE, .address = port};
}

static void build_fadt(struct fadt *t)
{
	begin(&t->h, "FACP", 6, sizeof(*t));
	t->minor_revision = 1;
	t->dsdt = (uint32_t)gpa_of(offsetof(struct tables, dsdt));
	t->x_dsdt = t->dsdt;
	t->pc_flags = FADT_NO_VGA | FADT_NO_CMOS_RTC;
	t->flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_HW_REDUCED;
	t->sleep_control = byte_port(PLATFORM_SLEEP_CONTROL_PORT);
	t->sleep_status = byte_port(PLATFORM_SLEEP_STATUS_PORT);
	memcpy(&t->hypervisor, "Lombard", sizeof(t->hypervisor));
	finish(&t->h);
}

static void build_dsdt(struct dsdt *d)
{
	const uint8_t aml[] = {
	    AML_NAME, '_', 'S', '5', '_', AML_PACKAGE, 4, 1, AML_BYTE, PLATFORM_S5_TYPE};

	_Static_assert(sizeof(aml) == sizeof(d->aml), "all of it");
	begin(&d->h, "DSDT", 2, sizeof(*d));
	memcpy(d->aml, aml, sizeof(aml));
	finish(&d->h);
}

static void build_madt(struct madt *m, unsigned vcpus)
{
	begin(&m->h, "APIC", 4, offsetof(struct madt, lapics) + vcpus * sizeof(struct madt_lapic));
	m->lapic_address = (uint32_t)PLATFORM_LAPIC_GPA;
	m->ioapic = (struct madt_ioapic){
	    .type = MADT_IOAPIC,
	    .length = sizeof(m->ioapic),
	    .address = (uint32_t)PLATFORM_IOAPIC_GPA,
	};
	for (unsigned i = 0; i < vcpus; i++)
		m->lapics[i] = (struct madt_lapic){
		    .type = MADT_LAPIC,
		    .length = sizeof(struct madt_lapic),
		    .processor = (uint8_t)i,
		    .apic = (uint8_t)i,
		    .flags = MADT_LAPIC_ENABLED,
		};
	finish(&m->h);
}

void acpi_build(uint8_t tables[PLATFORM_ACPI_SIZE], unsigned vcpus)
{
	struct tables t;

	memset(&t, 0, sizeof(t));
	build_rsdp(&t.rsdp);
	build_xsdt(&t.xsdt);
	build_fadt(&t.fadt);
	build_dsdt(&t.dsdt);
	build_madt(&t.madt, vcpus);
	memset(tables, 0, PLATFORM_ACPI_SIZE);
	memcpy(tables, &t, sizeof(t));
}
