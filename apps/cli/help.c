/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Help, manual page and shell completion, all made from the command table, so that they cannot drift from what the
 * parser takes. Help shows examples first: most readers want the line to type. The man page is plain man(7) macros;
 * text is escaped for roff (backslash, and a dot or quote at the start of a line).
 */

#include "apps/cli/command.h"

#include <string.h>

/* Prints `text` folded at `width` columns with `indent` blanks; "\n" in it starts a new paragraph line. */
static void put_folded(FILE *out, const char *text, unsigned indent, unsigned width)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column > 0 && column + 1 + word > width) {
            fputc('\n', out);
            column = 0;
        }
        if (word > 0) {
            if (column == 0)
                fprintf(out, "%*s", (int)indent, "");
            column = column == 0 ? indent + word : column + 1 + word;
            if (column > indent + word)
                fputc(' ', out);
            fwrite(text, 1, word, out);
        }
        text += word;
        if (*text == '\n') {
            fputc('\n', out);
            column = 0;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

static void put_heading(FILE *out, const struct term *t, const char *text)
{
    fputc('\n', out);
    term_put(out, t->colour, STYLE_BOLD, text);
    fputc('\n', out);
}

static unsigned help_width(const struct term *t)
{
    return t->width == 0 || t->width > 100 ? 80 : t->width;
}

void help_overview(FILE *out, const struct term *t)
{
    const char *group = "";

    term_put(out, t->colour, STYLE_BOLD, "spanward");
    fputs(" shows what a SPAN port tells about loss, latency and recurring faults.\n\n", out);
    fputs("  spanward read capture.pcapng      what a capture file shows, no set-up needed\n", out);
    fputs("  spanward status                   the running sensors and their mirrors\n", out);
    for (size_t i = 0; command_table[i] != NULL; i++) {
        const struct command *c = command_table[i];
        if (strcmp(group, c->group) != 0)
            put_heading(out, t, group = c->group);
        fprintf(out, "  %-12s %s\n", c->name, c->summary);
    }
    fputs("\nEach command has examples and options: spanward COMMAND --help\n", out);
}

static void put_option(void *ctx, const struct option_def *o)
{
    char left[64];
    int n = snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

    if (o->letter != 0)
        snprintf(left + n, sizeof(left) - (size_t)n, ", -%c", o->letter);
    fprintf(ctx, "  %-20s %s\n", left, o->text);
}

static void put_columns(FILE *out, const struct command *c, const struct term *t)
{
    put_heading(out, t, "Columns");
    for (const struct column *col = c->columns; col->name != NULL; col++)
        fprintf(out, "  %-20s %s%s\n", col->name, col->text, col->rank == COLUMN_EXTRA ? " (with --columns)" : "");
}

void help_command(FILE *out, const struct command *c, const struct term *t)
{
    fputs("spanward ", out);
    term_put(out, t->colour, STYLE_BOLD, c->name);
    fprintf(out, ": %s\n", c->summary);
    put_heading(out, t, "Examples");
    for (const struct example *e = c->examples; e->line != NULL; e++) {
        fprintf(out, "  spanward %s\n", e->line);
        fprintf(out, "      %s\n", e->text);
    }
    put_heading(out, t, "Usage");
    fprintf(out, "  spanward %s%s%s [OPTIONS]\n", c->name, *c->usage ? " " : "", c->usage);
    if (c->text != NULL) {
        fputc('\n', out);
        put_folded(out, c->text, 2, help_width(t));
    }
    put_heading(out, t, "Options");
    command_options(c, put_option, out);
    if (c->columns != NULL)
        put_columns(out, c, t);
    put_heading(out, t, "Exit codes");
#define X(name, number, text) fprintf(out, "  %d  %s\n", number, text);
    EXIT_CODES(X)
#undef X
}

/* ---- man(7) ---- */

static void put_roff(FILE *out, const char *text)
{
    bool line_start = true;

    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        line_start = *text == '\n';
        if (line_start)
            fputs(".PP\n", out);
    }
}

static void put_tagged(FILE *out, const char *bold, const char *rest, const char *text)
{
    fputs(".TP\n\\fB", out);
    put_roff(out, bold);
    fputs("\\fR", out);
    put_roff(out, rest);
    fputc('\n', out);
    put_roff(out, text);
    fputc('\n', out);
}

static void man_option(void *ctx, const struct option_def *o)
{
    char name[40], rest[40];

    snprintf(name, sizeof(name), "--%s", o->name);
    snprintf(rest, sizeof(rest), "%s%s", o->arg ? " " : "", o->arg ? o->arg : "");
    put_tagged(ctx, name, rest, o->text);
}

static void man_command(FILE *out, const struct command *c)
{
    fputs(".SS ", out);
    put_roff(out, c->name);
    fputs("\n\\fBspanward ", out);
    put_roff(out, c->name);
    fputs("\\fR ", out);
    put_roff(out, c->usage);
    fputs(" [OPTIONS]\n.PP\n", out);
    put_roff(out, c->summary);
    fputs(".\n", out);
    if (c->text != NULL) {
        fputs(".PP\n", out);
        put_roff(out, c->text);
        fputc('\n', out);
    }
    for (const struct example *e = c->examples; e->line != NULL; e++) {
        char line[160];
        snprintf(line, sizeof(line), "spanward %s", e->line);
        put_tagged(out, line, "", e->text);
    }
    command_options(c, man_option, out);
}

void help_man(FILE *out)
{
    fprintf(out, ".TH SPANWARD 1 \"\" \"spanward %s\" \"User commands\"\n", SPANWARD_VERSION);
    fputs(".SH NAME\nspanward \\- what a SPAN port tells about loss, latency and recurring faults\n", out);
    fputs(".SH SYNOPSIS\n.B spanward\n.I COMMAND\n[OPTIONS]\n.SH COMMANDS\n", out);
    for (size_t i = 0; command_table[i] != NULL; i++)
        man_command(out, command_table[i]);
    fputs(".SH EXIT STATUS\n", out);
#define X(name, number, text) put_tagged(out, #number, "", text);
    EXIT_CODES(X)
#undef X
    fputs(".SH ENVIRONMENT\n", out);
    put_tagged(out, "SPANWARD_REDIS", "", "where Redis is, as for --redis");
    put_tagged(out, "NO_COLOR", "", "not empty: no colours");
    put_tagged(out, "COLUMNS", "", "width to use, also where standard output is no terminal");
}

/* ---- bash ---- */

static void bash_option(void *ctx, const struct option_def *o)
{
    fprintf(ctx, " --%s", o->name);
}

static void bash_command(FILE *out, const struct command *c)
{
    fprintf(out, "    %s)\n        options=\"", c->name);
    command_options(c, bash_option, out);
    fputs("\"\n        columns=\"", out);
    for (const struct column *col = c->columns; col != NULL && col->name != NULL; col++)
        fprintf(out, " %s", col->name);
    fputs("\" ;;\n", out);
}

void help_bash(FILE *out)
{
    fputs("# bash completion for spanward; made by: spanward completion bash\n"
          "_spanward() {\n"
          "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
          "    local commands options columns\n    COMPREPLY=()\n    commands=\"",
          out);
    for (size_t i = 0; command_table[i] != NULL; i++)
        fprintf(out, " %s", command_table[i]->name);
    fputs("\"\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"$commands\" -- \"$current\")); return\n    fi\n"
          "    case \"${COMP_WORDS[1]}\" in\n",
          out);
    for (size_t i = 0; command_table[i] != NULL; i++)
        bash_command(out, command_table[i]);
    fputs("    esac\n"
          "    case \"$previous\" in\n"
          "    --columns|-c|--sort|-s) COMPREPLY=($(compgen -W \"$columns\" -- \"$current\")); return ;;\n"
          "    --config) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
          "    help) COMPREPLY=($(compgen -W \"$commands\" -- \"$current\")); return ;;\n"
          "    esac\n"
          "    case \"$current\" in\n"
          "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")) ;;\n"
          "    *) [ \"${COMP_WORDS[1]}\" = read ] && COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
          "    esac\n"
          "}\n"
          "complete -o filenames -F _spanward spanward\n",
          out);
}
