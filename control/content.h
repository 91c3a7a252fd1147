/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONTENT_H
#define SPANWARD_CONTENT_H

/*
 * One text, many notations: a ticket's body is plain text with a few habits of layout, from which the notations of
 * ticketing systems are made. Nothing in the text is markup, whatever it looks like: each notation's own is escaped.
 *
 * The habits, so that the text also reads well as it is:
 *   - a line that begins with two blanks belongs to a table: cells are parted by two blanks or more, the first row is
 *     the head; where rows have different numbers of cells it is set as it is, in type of one width;
 *   - a line that begins with "- " is an item of a list;
 *   - a line that is directly followed by a table or a list is its heading;
 *   - any other line is a paragraph; up to the first colon, when that is near, it is a label.
 */

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Text of HTML or XML: & < > " and ' as entities. */
void content_xml(FILE *out, const char *text, size_t len);
/* malloc'd; NULL without memory. */
char *content_html(const char *body);
/* Wiki markup of Jira Data Center. malloc'd; NULL without memory. */
char *content_wiki(const char *body);
/* For fields of ServiceNow: as it is, but [code] gets no HTML through. malloc'd; NULL without memory. */
char *content_journal(const char *body);
/* An Atlassian Document. A new reference; NULL without memory. */
json_t *content_adf(const char *body);

/* Plain text of an Atlassian Document, a blank line less than pretty: for reading comments. malloc'd or NULL. */
char *content_from_adf(const json_t *doc);
/* Plain text of HTML: tags go, entities are read, block ends become line ends. malloc'd; NULL without memory. */
char *content_from_html(const char *html);

/* Cuts UTF-8 text to at most `chars` characters in place; what was longer ends in an ellipsis. Returns text. */
char *content_clip(char *text, size_t chars);
size_t content_characters(const char *text);

/*
 * Copies text from outside to one line: control characters and invalid UTF-8 become blanks, runs of blanks one blank.
 * Returns ret, cut at a whole character. text must not overlap ret.
 */
char *content_value(char *ret, size_t size, const char *text);
/* The same for a title: no program that reads it as a cell of a table takes it for a formula. */
char *content_line(char *ret, size_t size, const char *text);

#endif
