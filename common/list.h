/* An intrusive doubly linked list: the node sits in the element, so linking allocates nothing and an element
 * leaves its list without knowing which one it is. An empty head points at itself. */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev;
    struct list *next;
};

#define list_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* The loop body must not unlink `node`; list_each_safe allows that, for `node` alone. */
#define list_each(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)
#define list_each_safe(node, head)                                                                           \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);                        \
         node = node##_next, node##_next = node->next)

static inline void list_init(struct list *head) {
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

static inline void list_push_back(struct list *head, struct list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Leaves `node` pointing at itself, so that unlinking twice is harmless. */
static inline void list_unlink(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves all of `from` to the end of `head`. */
static inline void list_splice_back(struct list *head, struct list *from) {
    if (list_is_empty(from))
        return;
    from->next->prev = head->prev;
    from->prev->next = head;
    head->prev->next = from->next;
    head->prev = from->prev;
    list_init(from);
}

#endif
