#include "conservatory/words.h"

#include <stddef.h>
#include <string.h>

static const char *const en_verse[] = {"walk-ing down the o-pen road",
                                       "morn-ing light is on the wall",
                                       "ev-ery lit-tle sound you make",
                                       "rain is fall-ing on the town",
                                       "I can hear the riv-er run",
                                       "all the leaves are turn-ing red",
                                       "some-one left the ra-dio on",
                                       "we were young and we were loud",
                                       "un-der-neath the sil-ver moon",
                                       "count the win-dows, count the stars",
                                       "take the last train out of here",
                                       "shad-ows on the kitch-en floor",
                                       "dust is danc-ing in the sun",
                                       "no one knows the way we came",
                                       "fold-ed let-ters in a drawer",
                                       "slow-ly now the day be-gins",
                                       NULL};
static const char *const en_chorus[] = {
    "sing it out, sing it loud",   "hold me now, hold me near",      "we will nev-er let it go",
    "come on home to me to-night", "noth-ing else can take us down", "fly a-way and nev-er fall",
    "I be-lieve in you and me",    "keep the fire burn-ing on",      NULL};
static const char *const es_verse[] = {
    "ca-mi-no jun-to al mar",       "la lu-na sa-be mi nom-bre",   "to-da la no-che so-ñan-do",
    "el sol se duer-me en tu piel", "vie-ne la llu-via de a-bril", "guar-do tu car-ta de a-mor",
    "ca-lles de pie-dra y de sal",  "na-da me pue-de pa-rar",      NULL};
static const char *const es_chorus[] = {"ven con-mi-go a bai-lar", "can-ta can-ta co-ra-zón", "no me de-jes nun-ca más",
                                        "vi-da mí-a vuel-ve ya", NULL};
static const char *const fr_verse[] = {
    "je mar-che sous la pluie",   "la nuit des-cend sur Pa-ris", "un pe-tit bruit dans la rue", "tu re-gar-des la mer",
    "le vent em-por-te les mots", "mon a-mi ne pleu-re pas",     "les é-toi-les sont à nous",   NULL};
static const char *const fr_chorus[] = {"dan-se dan-se a-vec moi", "re-viens-moi ce soir", "la vie est bel-le i-ci",
                                        "chan-te en-co-re u-ne fois", NULL};
static const char *const de_verse[] = {"al-le Lich-ter sind schon aus",
                                       "lang-sam fällt der ers-te Schnee",
                                       "ich ge-he durch die Stadt",
                                       "und der Wind trägt mei-nen Na-men",
                                       "ü-ber uns ein Ster-nen-meer",
                                       "kei-ner weiß wo-hin wir gehn",
                                       NULL};
static const char *const de_chorus[] = {"komm und tanz mit mir heut Nacht", "halt mich fest und lass nicht los",
                                        "wir sind frei, wir sind frei", "sing mit mir das al-te Lied", NULL};
static const char *const it_verse[] = {"cam-mi-no pia-no lun-go il ma-re",
                                       "la lu-na guar-da la cit-tà",
                                       "u-na can-zo-ne per te",
                                       "il ven-to por-ta via",
                                       "se-ra d'e-sta-te nel mio cuo-re",
                                       "so-lo un so-gno e nien-te più",
                                       NULL};
static const char *const it_chorus[] = {"vo-la vo-la via con me", "bal-la bal-la an-co-ra", "a-mo-re mi-o tor-na qui",
                                        "can-ta la vi-ta", NULL};
static const char *const pt_verse[] = {"ca-mi-nho na bei-ra do mar",
                                       "a lu-a sa-be de mim",
                                       "a noi-te vem de-va-gar",
                                       "o ven-to can-ta pra nós",
                                       "sau-da-de do teu o-lhar",
                                       "tar-de de sol no quin-tal",
                                       NULL};
static const char *const pt_chorus[] = {"vem dan-çar co-mi-go", "can-ta can-ta meu a-mor", "não me dei-xes nun-ca mais",
                                        "vi-da vi-da mi-nha", NULL};
static const char *const ja_verse[] = {"よ|yo る|ru の|no ま|ma ち|chi を|o あ|a る|ru く|ku",
                                       "あ|a め|me が|ga ふ|fu る|ru そ|so ら|ra",
                                       "き|ki み|mi の|no こ|ko え|e が|ga き|ki こ|ko え|e る|ru",
                                       "ほ|ho し|shi が|ga な|na が|ga れ|re る|ru",
                                       "か|ka ぜ|ze が|ga う|u た|ta う|u",
                                       NULL};
static const char *const ja_chorus[] = {"さ|sa く|ku ら|ra が|ga さ|sa い|i た|ta",
                                        "ず|zu っ|u と|to そ|so ば|ba に|ni い|i て|te",
                                        "ゆ|yu め|me を|o み|mi よ|yo う|u", NULL};
static const char *const zh_verse[] = {
    "月|ye 亮|lang 照|zhao 着|zhe 我|wo 的|de 窗|chang", "风|feng 吹|chui 过|guo 小|shao 河|he 边|ben",
    "我|wo 在|zai 路|lu 上|shang 等|deng 你|ni",         "星|sing 星|sing 落|lo 在|zai 你|ni 眼|yan 里|li",
    "夜|ye 空|kong 慢|man 慢|man 变|ben 蓝|lan",         NULL};
static const char *const zh_chorus[] = {"请|ching 你|ni 不|bu 要|yao 走|zo", "我|wo 的|de 心|sin 在|zai 唱|chang 歌|ge",
                                        "永|yong 远|yan 和|he 你|ni 一|i 起|chi", NULL};

static const words_language languages[] = {
    {"en", "English", en_verse, en_chorus},  {"es", "Spanish", es_verse, es_chorus},
    {"fr", "French", fr_verse, fr_chorus},   {"de", "German", de_verse, de_chorus},
    {"it", "Italian", it_verse, it_chorus},  {"pt", "Portuguese", pt_verse, pt_chorus},
    {"ja", "Japanese", ja_verse, ja_chorus}, {"zh", "Chinese", zh_verse, zh_chorus},
};

int words_languages(void) {
  return (int)(sizeof languages / sizeof *languages);
}

const words_language *words_at(int i) {
  return &languages[i];
}

const words_language *words_find(const char *code) {
  for (int i = 0; i < words_languages(); i++)
    if (strcmp(languages[i].code, code) == 0) return &languages[i];
  return NULL;
}
