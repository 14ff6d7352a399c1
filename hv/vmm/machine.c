/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/guestcpu.h"
#include "lib/sys.h"
#include "vmm/platform.h"
#include "vmm/pvh.h"

#define PAGE_SHIFT 12
#define RAM_MAX_PAGES (UINT64_C(0xe0000000) >> PAGE_SHIFT) /* above is the platform's own space */
#define WINDOW_MIN_GFN (UINT64_C(1) << (32 - PAGE_SHIFT))
#define GPA_MAX_GFN (UINT64_C(1) << (52 - PAGE_SHIFT)) /* the architecture's bound */
#define SLOT_MAX_PAGES ((UINT64_C(1) << 31) - 1)       /* KVM's bound for one memory slot */

/* Pages that KVM itself needs on Intel, in the platform's space; other hosts ignore them. */
#define KVM_IDENTITY_MAP_GPA UINT64_C(0xfffbc000)
#define KVM_TSS_GPA UINT64_C(0xfffbd000)

#define PLATFORM_GFN (KVM_IDENTITY_MAP_GPA >> PAGE_SHIFT)

#define SYNC_REGS (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS)

/* => it has pages, and the special area is where it can be */
static int check_window(const struct wire_config *cfg, struct failure *f)
{
	uint64_t first = cfg->window_gfn, pages = cfg->window_pages;

	if (pages > SLOT_MAX_PAGES)
		return failure_set(f, -EINVAL, "the window area is too large for KVM (8 TiB)");
	if (first >= cfg->ram_pages && first < cfg->special_gfn &&
	    pages <= cfg->special_gfn - first)
		return 0;
	if (first < WINDOW_MIN_GFN || first > GPA_MAX_GFN - pages)
		return failure_set(f, -EINVAL,
		    "the window area lies neither between RAM and the special area nor between 4 "
		    "GiB and 4 PiB");
	return 0;
}

int machine_check(const struct wire_config *cfg, struct failure *f)
{
	if (cfg->vcpus < 1 || cfg->vcpus > (cfg->lapic ? WIRE_MAX_VCPUS : 1))
		return failure_set(f, -EINVAL, "the core wants %u vCPUs", cfg->vcpus);
	if (cfg->ram_pages == 0 || cfg->ram_pages > RAM_MAX_PAGES)
		return failure_set(f, -EINVAL, "the core wants RAM where the platform is");
	if (cfg->high_pages > SLOT_MAX_PAGES)
		return failure_set(f, -EINVAL, "the RAM is too large for KVM (8 TiB)");
	if (cfg->high_pages > 0 &&
	    (cfg->high_gfn < WINDOW_MIN_GFN || cfg->high_gfn > GPA_MAX_GFN - cfg->high_pages))
		return failure_set(f, -EINVAL, "high RAM does not lie between 4 GiB and 4 PiB");
	if (cfg->special_gfn < RAM_MAX_PAGES || cfg->special_pages > PLATFORM_GFN - RAM_MAX_PAGES ||
	    cfg->special_gfn > PLATFORM_GFN - cfg->special_pages)
		return failure_set(f, -EINVAL, "the special area is not where it can be");
	if (cfg->window_pages == 0)
		return 0;
	return check_window(cfg, f);
}

static struct gmem_area gmem_area(const struct pmap_area *a)
{
	return (struct gmem_area){
	    .hva = a->hva,
	    .gpa = a->gfn << PAGE_SHIFT,
	    .size = a->npages << PAGE_SHIFT,
	    .offset = a->index << PAGE_SHIFT,
	};
}

static int build_memory(struct vmm *vm, struct failure *f)
{
	const struct wire_config *cfg = &vm->cfg;
	int ret;

	vm->pmap.area[PMAP_RAM] = (struct pmap_area){
	    .npages = cfg->ram_pages, .index = cfg->ram_index};
	vm->pmap.area[PMAP_HIGH] = (struct pmap_area){
	    .gfn = cfg->high_gfn, .npages = cfg->high_pages, .index = cfg->high_index};
	vm->pmap.area[PMAP_WINDOW] = (struct pmap_area){
	    .gfn = cfg->window_gfn, .npages = cfg->window_pages};
	vm->pmap.area[PMAP_SPECIAL] = (struct pmap_area){
	    .gfn = cfg->special_gfn, .npages = cfg->special_pages, .index = cfg->special_index};
	ret = pmap_local_init(&vm->pmap, f);
	if (ret)
		return ret;
	/* Small guests take no more memory than they touch. */
	vm->mem.store = cfg->lapic ? vm->pmap.store : 0;
	vm->mem.ram = gmem_area(&vm->pmap.area[PMAP_RAM]);
	vm->mem.high = gmem_area(&vm->pmap.area[PMAP_HIGH]);
	vm->mem.window = gmem_area(&vm->pmap.area[PMAP_WINDOW]);
	vm->mem.special = gmem_area(&vm->pmap.area[PMAP_SPECIAL]);
	return 0;
}

/* KVM_CREATE_VM gives up when a signal arrives, and may be tried again. */
static int create_vm(struct vmm *vm, struct failure *f)
{
	do
		vm->vm = SYS(ioctl(vm->kvm, KVM_CREATE_VM, 0));
	while (vm->vm < 0 && errno == EINTR);
	if (vm->vm < 0)
		return failure_sys(f, -errno, "KVM can't create a virtual machine");
	return 0;
}

static int explain_kvm(int error, struct failure *f)
{
	switch (error) {
	case -ENOENT:
		return failure_set(f, error,
		    "there is no /dev/kvm: load the module kvm_intel or kvm_amd, and see that "
		    "virtualization is not switched off in the firmware");
	case -EACCES:
	case -EPERM:
		return failure_set(f, error,
		    "/dev/kvm may not be opened: run lombardd as root, or as a member of the group "
		    "that owns it");
	default:
		return failure_sys(f, error, "/dev/kvm can't be opened");
	}
}

static int open_kvm(struct vmm *vm, struct failure *f)
{
	vm->kvm = SYS(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	if (vm->kvm < 0)
		return explain_kvm(-errno, f);
	if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return failure_set(
		    f, -ENOTSUP, "/dev/kvm speaks another version of KVM's interface");
	return create_vm(vm, f);
}

static int check_kvm(const struct vmm *vm, struct failure *f)
{
	int sync_regs = ioctl(vm->vm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);

	if (sync_regs < 0 || (sync_regs & SYNC_REGS) != SYNC_REGS)
		return failure_set(
		    f, -ENOTSUP, "KVM lacks KVM_CAP_SYNC_REGS: Linux 4.17 and later have it");
	if (ioctl(vm->vm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_MMU) <= 0)
		return failure_set(f, -ENOTSUP, "KVM lacks KVM_CAP_SYNC_MMU");
	return 0;
}

/* Does this host's KVM pass VMCALL and VMMCALL on? */
bool machine_can_pass_p(const struct vmm *vm)
{
	int flags = ioctl(vm->vm, KVM_CHECK_EXTENSION, KVM_CAP_XEN_HVM);

	return vm->cfg.lapic && flags > 0 && (flags & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL);
}

/* All else that KVM could do for Xen's guests stays off: it is done here, for all kernels alike. */
int machine_pass_calls(const struct vmm *vm, struct failure *f)
{
	const struct kvm_xen_hvm_config config = {
	    .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .msr = PLATFORM_KVM_XEN_MSR};

	if (SYS(ioctl(vm->vm, KVM_XEN_HVM_CONFIG, &config)))
		return failure_sys(f, -errno, "KVM does not pass a guest's hypercalls on");
	return 0;
}

static int set_platform_pages(const struct vmm *vm, struct failure *f)
{
	uint64_t identity_map = KVM_IDENTITY_MAP_GPA;

	if (SYS(ioctl(vm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map)))
		return failure_sys(f, -errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (SYS(ioctl(vm->vm, KVM_SET_TSS_ADDR, KVM_TSS_GPA)))
		return failure_sys(f, -errno, "KVM_SET_TSS_ADDR");
	return 0;
}

/* Pages [first, last) of an area.  Slots are numbered in the order in which they are made. */
static int set_slot(
    struct vmm *vm, const struct pmap_area *a, uint64_t first, uint64_t last, struct failure *f)
{
	struct kvm_userspace_memory_region region = {
	    .slot = vm->nslots,
	    .guest_phys_addr = first << PAGE_SHIFT,
	    .memory_size = (last - first) << PAGE_SHIFT,
	    .userspace_addr = (uintptr_t)a->hva + ((first - a->gfn) << PAGE_SHIFT),
	};

	if (first < last && SYS(ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region)))
		return failure_sys(f, -errno, "KVM refuses memory slot %u, %lu MiB at gpa 0x%lx",
		    region.slot, (unsigned long)(region.memory_size >> 20),
		    (unsigned long)region.guest_phys_addr);
	vm->nslots++;
	return 0;
}

/* Where an APIC is, the guest shall find it, and not memory. */
static int set_slots(struct vmm *vm, const struct pmap_area *a, struct failure *f)
{
	static const uint64_t apics[] = {
	    PLATFORM_IOAPIC_GPA >> PAGE_SHIFT, PLATFORM_LAPIC_GPA >> PAGE_SHIFT};
	uint64_t first = a->gfn, end = a->gfn + a->npages;
	int ret = 0;

	for (unsigned i = 0; i < 2 && vm->cfg.lapic && !ret; i++) {
		if (apics[i] < first || apics[i] >= end)
			continue;
		ret = set_slot(vm, a, first, apics[i], f);
		first = apics[i] + 1;
	}
	return ret ? ret : set_slot(vm, a, first, end, f);
}

/* Before there are vCPUs, which get their LAPICs by it.  All but the first then wait to be started. */
static int create_apics(const struct vmm *vm, struct failure *f)
{
	struct kvm_enable_cap msrs = {
	    .cap = KVM_CAP_X86_USER_SPACE_MSR,
	    .args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN},
	};

	if (!vm->cfg.lapic)
		return 0;
	if (SYS(ioctl(vm->vm, KVM_CREATE_IRQCHIP, 0)))
		return failure_sys(f, -errno, "KVM can't give guests interrupt controllers");
	if (SYS(ioctl(vm->vm, KVM_ENABLE_CAP, &msrs)))
		return failure_sys(f, -errno,
		    "KVM lacks KVM_CAP_X86_USER_SPACE_MSR: Linux 5.10 and later have it");
	return 0;
}

static int create_vcpu(struct vmm *vm, unsigned id, struct failure *f)
{
	struct vcpu *v = &vm->vcpus[id];
	int size, khz;

	v->vm = vm;
	v->id = id;
	v->fd = SYS(ioctl(vm->vm, KVM_CREATE_VCPU, vcpu_apic(v)));
	if (v->fd < 0)
		return failure_sys(f, -errno, "KVM can't create vCPU %u", id);
	size = SYS(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	if (size < (int)sizeof(*v->run))
		return failure_set(f, -ENOTSUP, "KVM's vCPU page is too small");
	v->run = SYS_MMAP(mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0));
	if (v->run == MAP_FAILED)
		return failure_sys(f, -errno, "the vCPU's page can't be mapped");
	khz = SYS(ioctl(v->fd, KVM_GET_TSC_KHZ, 0));
	if (khz <= 0)
		return failure_set(f, -ENOTSUP, "KVM can't tell the TSC's frequency");
	v->tsc_khz = (uint32_t)khz;
	v->run->kvm_valid_regs = SYNC_REGS;
	if (vm->cfg.lapic)
		state_set_write_back(v);
	return cpuid_set(v, f);
}

int machine_build(struct vmm *vm, struct failure *f)
{
	int ret;

	ret = build_memory(vm, f);
	if (!ret)
		ret = open_kvm(vm, f);
	if (!ret)
		ret = check_kvm(vm, f);
	if (!ret)
		ret = set_platform_pages(vm, f);
	if (!ret)
		ret = create_apics(vm, f);
	for (unsigned i = 0; i < PMAP_AREAS && !ret; i++)
		ret = set_slots(vm, &vm->pmap.area[i], f);
	for (unsigned i = 0; i < vm->cfg.vcpus && !ret; i++)
		ret = create_vcpu(vm, i, f);
	return ret;
}

int machine_load(struct vmm *vm, struct failure *f)
{
	struct pvh_image image = {
	    .fd = vm->image,
	    .path = vm->cfg.image_path,
	    .cmdline = vm->cfg.cmdline,
	    .initrd = vm->initrd,
	    .initrd_path = vm->cfg.initrd_path,
	    .lapic = vm->cfg.lapic,
	    .vcpus = vm->cfg.vcpus,
	    .can_pass = machine_can_pass_p(vm),
	};
	struct pvh_start start;
	int ret = pvh_load(&vm->mem, &image, &start, f);

	if (!ret && start.linux_p && !guestcpu_virtualized_p())
		ret = pvh_not_here(image.path, f);
	if (!ret && start.pass)
		ret = machine_pass_calls(vm, f);
	return ret ? ret : vcpu_set_pvh(&vm->vcpus[0], start.entry, start.start_info, f);
}
