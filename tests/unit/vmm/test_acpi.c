/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/acpi.c */
#include "vmm/acpi.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t image[PLATFORM_ACPI_SIZE];

static uint64_t number(const uint8_t *at, size_t len)
{
	uint64_t value = 0;

	memcpy(&value, at, len);
	return value;
}

static uint8_t sum(const uint8_t *at, size_t len)
{
	uint8_t all = 0;

	while (len-- > 0)
		all = (uint8_t)(all + *at++);
	return all;
}

/* The table at a guest's address, which is whole, has this name, and a sum of 0. */
static const uint8_t *table(uint64_t gpa, const char *name)
{
	const uint8_t *at = image + (gpa - PLATFORM_ACPI_GPA);
	size_t len;

	cr_assert(gpa >= PLATFORM_ACPI_GPA && gpa < PLATFORM_ACPI_GPA + PLATFORM_ACPI_SIZE);
	len = number(at + 4, 4);
	cr_assert_leq(at + len, image + sizeof(image));
	cr_assert_eq(memcmp(at, name, 4), 0, "%.4s is not %s", (const char *)at, name);
	cr_assert_eq(sum(at, len), 0, "the sum of %s", name);
	return at;
}

static const uint8_t *of_xsdt(unsigned i, const char *name)
{
	const uint8_t *xsdt = table(number(image + 24, 8), "XSDT");

	return table(number(xsdt + 36 + 8 * i, 8), name);
}

Test(acpi, root_pointer)
{
	acpi_build(image, 1);
	cr_assert_eq(memcmp(image, "RSD PTR ", 8), 0);
	cr_assert_eq(image[15], 2);
	cr_assert_eq(sum(image, 20), 0);
	cr_assert_eq(sum(image, 36), 0);
}

Test(acpi, reduced_hardware_with_sleep_registers)
{
	const uint8_t *fadt, *dsdt;

	acpi_build(image, 1);
	fadt = of_xsdt(0, "FACP");
	cr_assert_eq(number(fadt + 112, 4) & (1U << 20), 1U << 20);
	cr_assert_eq(number(fadt + 109, 2), 0x24);
	cr_assert_eq(fadt[244], 1);
	cr_assert_eq(number(fadt + 248, 8), PLATFORM_SLEEP_CONTROL_PORT);
	cr_assert_eq(fadt[256], 1);
	cr_assert_eq(number(fadt + 260, 8), PLATFORM_SLEEP_STATUS_PORT);
	cr_assert_eq(number(fadt + 140, 8), number(fadt + 40, 4));
	dsdt = table(number(fadt + 140, 8), "DSDT");
	cr_assert_eq(memcmp(dsdt + 36, "\x08_S5_\x12\x04\x01\x0a\x05", 10), 0);
}

Test(acpi, one_local_apic_for_each_vcpu)
{
	for (unsigned n = 1; n <= ACPI_MAX_VCPUS; n++) {
		const uint8_t *madt, *at, *end;
		unsigned lapics = 0, ioapics = 0;

		acpi_build(image, n);
		madt = of_xsdt(1, "APIC");
		cr_assert_eq(number(madt + 36, 4), PLATFORM_LAPIC_GPA);
		end = madt + number(madt + 4, 4);
		for (at = madt + 44; at < end; at += at[1]) {
			cr_assert_gt(at[1], 0);
			if (at[0] == 1)
				ioapics++;
			if (at[0] != 0)
				continue;
			cr_assert_eq(at[3], lapics);
			cr_assert_eq(number(at + 4, 4), 1);
			lapics++;
		}
		cr_assert_eq(at, end);
		cr_assert_eq(lapics, n);
		cr_assert_eq(ioapics, 1);
	}
}
