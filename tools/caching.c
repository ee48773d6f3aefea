#include "caching.h"

#include "terminal.h"

bf_status bfi_caching_open(const bfi_arguments *args, bf_session *session, bf_error *err) {
    bool file = args->given[BFI_OPTION_CACHE], memory = args->given[BFI_OPTION_CACHE_MEMORY];
    static const bfi_option need[] = {BFI_OPTION_STATS, BFI_OPTION_CONTAIN, BFI_OPTION_CACHE_SIZE};
    for (int i = 0; i < 3; i++)
        if (args->given[need[i]] && !file && (i == 2 || !memory))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s is about a cache: give %s too",
                            bfi_options[need[i]].name,
                            i == 2 ? "--cache F" : "--cache F or --cache-memory BYTES");
    if (!file && !memory) return BF_STATUS_OK;
    bf_cache_options options = bf_cache_options_default();
    options.path = args->text[BFI_OPTION_CACHE][0];
    if (memory) options.bytes = args->count[BFI_OPTION_CACHE_MEMORY];
    if (args->given[BFI_OPTION_CACHE_SIZE]) options.disk_bytes = args->count[BFI_OPTION_CACHE_SIZE];
    options.contain = args->given[BFI_OPTION_CONTAIN];
    bf_cache *cache = NULL;
    bf_status status = bf_cache_create(&options, &cache, err);
    if (status == BF_STATUS_OK) bf_session_set_cache(session, cache);
    return status;
}

void bfi_caching_json(bfi_json *json, bf_session *session) {
    bf_cache *cache = bf_session_cache(session);
    if (!cache) return;
    bf_cache_flush(cache, NULL);
    bf_cache_stats stats = bf_cache_stats_now(cache);
    const char *name;
    bfi_json_open(json, "cache", '{');
    for (int i = 0; (name = bf_cache_stat_name(i)); i++)
        bfi_json_integer(json, name, bf_cache_stat_value(&stats, i));
    bfi_json_integer(json, "problems", stats.problems);
    bfi_json_string(json, "problem", stats.problem);
    bfi_json_close(json, '}');
}

static void print_stats(const bf_cache_stats *stats) {
    const char *name;
    for (int i = 0; (name = bf_cache_stat_name(i)); i++)
        fprintf(stderr, "cache %-18s %12lld  %s\n", name, (long long)bf_cache_stat_value(stats, i),
                bf_cache_stat_meaning(i));
}

void bfi_caching_close(const bfi_arguments *args, bf_session *session) {
    bf_cache *cache = bf_session_cache(session);
    if (!cache) return;
    bf_cache_flush(cache, NULL);
    bf_cache_stats stats = bf_cache_stats_now(cache);
    if (args->given[BFI_OPTION_STATS]) print_stats(&stats);
    if (stats.problems)
        fprintf(stderr, "boundflow %s: %scache:%s %s\n", bfi_commands[args->command].name,
                bfi_terminal_style(stderr, BFI_STYLE_BOLD),
                bfi_terminal_style(stderr, BFI_STYLE_RESET), stats.problem);
    bf_session_set_cache(session, NULL);
    bf_cache_free(cache);
}
